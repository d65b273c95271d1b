"""Explanations of scores, for library photos and uploads."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipsight.core.errors import NotFoundError, PhotoError
from clipsight.explain.base import Explanation, Settings
from clipsight.explain.explanation import explain
from clipsight.explain.onnx_model import OnnxModel
from clipsight.models.encoder import Cancelled, Stop
from clipsight.search.query import Kind, Part, Query
from clipsight.web.service import pictures
from clipsight.web.service.query_parts import PhotoPart, QueryPart, TextPart, UploadPart, to_query
from clipsight.web.service.snapshots import OpenLibrary


def explain_photo(
    library: OpenLibrary,
    parts: Sequence[QueryPart],
    photo: PhotoPart | UploadPart,
    *,
    method: str,
    word: str | None,
    stop: Stop | None,
) -> Explanation:
    """Explain like `Library.explain`; uploads are validated, and kept in a temporary folder meanwhile.

    No path of that folder appears in the result.
    """
    query = to_query(parts)

    def check_stop(what: str, done: int, total: int) -> None:
        if stop is not None and stop.is_set():
            raise Cancelled

    with tempfile.TemporaryDirectory(prefix="clipsight-") as name:
        folder = Path(name)
        with_files = Query(
            tuple(
                part
                if isinstance(given, TextPart)
                else replace(part, value=str(_picture_file(given, library, folder / str(number))))
                for number, (part, given) in enumerate(zip(query.parts, parts, strict=True))
            )
        )
        file = _picture_file(photo, library, folder / "photo")
        try:
            found = explain(
                with_files,
                file,
                OnnxModel(library.encoder),
                method=method,
                word=word,
                sample=library.snapshot.balance_sample([query]),
                settings=Settings(progress=check_stop),
            )
        except PhotoError as error:
            raise NotFoundError(f"the photo can't be read any more: {error.__cause__ or error}") from error
    return replace(
        found,
        query=str(query),
        photo=Path(photo.name) if isinstance(photo, UploadPart) else file,
        parts=tuple(
            replace(share, part=_label(part)) for share, part in zip(found.parts, query.parts, strict=True)
        ),
        region_of=str(query) if word is None else found.region_of,
    )


def _picture_file(picture: PhotoPart | UploadPart, library: OpenLibrary, copy: Path) -> Path:
    """The photo's own file, after a check that it is unchanged; an upload is written to `copy`."""
    if isinstance(picture, PhotoPart):
        record = library.photo(picture.id)
        pictures.check_unchanged(record)
        return Path(os.fsdecode(record.path))
    pictures.open_upload(picture, min_side=max(library.encoder.input_size))
    copy.write_bytes(picture.data)
    return copy


def _label(part: Part) -> str:
    label = part.value if part.kind is Kind.PICTURE else str(part)
    return f"- {label}" if part.weight < 0 else label
