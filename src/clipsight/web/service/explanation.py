"""Explanations for the server, whose pictures are photos of the library and uploads. For `service`."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipsight.core.errors import PhotoError
from clipsight.explain.base import Explanation, Settings
from clipsight.explain.explanation import explain
from clipsight.explain.onnx_model import OnnxModel
from clipsight.models.encoder import Cancelled, Stop
from clipsight.search.query import Kind, Part, Query
from clipsight.web.service import pictures
from clipsight.web.service.errors import NotFoundError
from clipsight.web.service.query_parts import PhotoPart, QueryPart, TextPart, UploadPart, to_query
from clipsight.web.service.snapshots import OpenLibrary


def explain_with(
    library: OpenLibrary,
    parts: Sequence[QueryPart],
    photo: PhotoPart | UploadPart,
    *,
    method: str,
    word: str | None,
    stop: Stop | None,
) -> Explanation:
    """As `Library.explain`; uploads are checked, then lie in a folder of their own while it takes."""
    asked = to_query(parts)

    def look(what: str, done: int, total: int) -> None:
        if stop is not None and stop.is_set():
            raise Cancelled

    with tempfile.TemporaryDirectory(prefix="clipsight-") as folder:
        named = Query(
            tuple(
                replace(part, value=str(_file(given, library, Path(folder) / str(place))))
                if not isinstance(given, TextPart)
                else part
                for place, (part, given) in enumerate(zip(asked.parts, parts, strict=True))
            )
        )
        file = _file(photo, library, Path(folder) / "photo")
        try:
            found = explain(
                named,
                file,
                OnnxModel(library.encoder),
                method=method,
                word=word,
                sample=library.snapshot.balance_sample([asked]),
                settings=Settings(progress=look),
            )
        except PhotoError as error:
            raise NotFoundError(f"the photo can't be read any more: {error.__cause__ or error}") from error
    shares = tuple(
        replace(share, part=_name(part)) for share, part in zip(found.parts, asked.parts, strict=True)
    )
    region_of = str(asked) if word is None else found.region_of
    shown = Path(photo.name) if isinstance(photo, UploadPart) else file
    return replace(found, query=str(asked), photo=shown, parts=shares, region_of=region_of)


def _file(given: PhotoPart | UploadPart | TextPart, library: OpenLibrary, place: Path) -> Path:
    """Where the picture lies: the photo's own file, which is as it was indexed, or a copy of the upload."""
    if isinstance(given, PhotoPart):
        kept = library.photo(given.id)
        pictures.check(kept)
        return Path(os.fsdecode(kept.path))
    assert isinstance(given, UploadPart)
    pictures.open_upload(given, min_side=max(library.encoder.input_size))
    place.write_bytes(given.data)
    return place


def _name(part: Part) -> str:
    name = part.value if part.kind is Kind.PICTURE else str(part)
    return f"- {name}" if part.weight < 0 else name
