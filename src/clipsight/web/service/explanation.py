"""Explanations of scores, for library photos and uploads."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipsight.core.errors import NotFoundError, PhotoError
from clipsight.explain.base import Explanation, Settings
from clipsight.explain.explanation import explain, with_text
from clipsight.explain.onnx_model import OnnxModel
from clipsight.indexing.media.picture import Picture
from clipsight.models.encoder import Cancelled, Stop
from clipsight.search.query import Kind, Part, Query
from clipsight.web.service import pictures
from clipsight.web.service.query_parts import (
    PhotoPart,
    PrintedPart,
    QueryPart,
    TextPart,
    UploadPart,
    to_query,
)
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
    """Explain like `Library.explain`; uploads are validated, and never written to a file."""

    def check_stop(what: str, done: int, total: int) -> None:
        if stop is not None and stop.is_set():
            raise Cancelled

    query = Query(
        tuple(
            part
            if isinstance(given, TextPart | PrintedPart)
            else replace(part, given=_picture(given, library))
            for part, given in zip(to_query(parts).parts, parts, strict=True)
        )
    )
    try:
        found = explain(
            query,
            _picture(photo, library),
            OnnxModel(library.encoder),
            method=method,
            word=word,
            sample=library.snapshot.balance_sample([query]),
            settings=Settings(progress=check_stop),
        )
    except PhotoError as error:
        raise NotFoundError(f"the photo can't be read any more: {error.__cause__ or error}") from error
    if isinstance(photo, PhotoPart):
        found = with_text(found, query, photo.id, library.catalog)
    labelled = zip(found.parts, query.parts, strict=True)
    return replace(found, parts=tuple(replace(share, part=_label(part)) for share, part in labelled))


def _picture(picture: PhotoPart | UploadPart, library: OpenLibrary) -> Picture:
    """The photo's own file, after a check that it is unchanged, or an upload, after a check of its size."""
    if isinstance(picture, PhotoPart):
        record = library.photo(picture.id)
        pictures.check_unchanged(record)
        return Picture.of(Path(os.fsdecode(record.path)))
    pictures.open_upload(picture, min_side=max(library.encoder.input_size))
    return Picture(picture.name, content=picture.data)


def _label(part: Part) -> str:
    label = part.value if part.kind is Kind.PICTURE else str(part)
    return f"- {label}" if part.weight < 0 else label
