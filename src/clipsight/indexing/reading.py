"""The pass that reads the text in photos, after they have been embedded: resumable, newest photos first.

Each photo is decoded, read and committed by itself, so that a killed run loses the photos that are being read
and no other. Memory is bounded: each thread has one photo, at most `models.ocr.MAX_SIDE` pixels long.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.core.progress import Progress
from clipsight.core.text import TextLine
from clipsight.indexing.media.photo import decode
from clipsight.indexing.pipeline import read_content
from clipsight.store.catalog import Catalog
from clipsight.store.text_index import (
    UnreadPhoto,
    drop_text_failures,
    list_unread,
    next_unread,
    put_text,
    put_text_failure,
)

MIN_SIDE = 1440
"""Short side in pixels that a JPEG keeps at least when it is decoded at a reduced scale."""

_MAX_REASON = 200
_PAGE = 100


class Reader(Protocol):
    """The part of `models.ocr.TextReader` that is needed."""

    def read(self, image: Image.Image) -> tuple[TextLine, ...]:
        """The lines of text in a picture."""


@dataclass(frozen=True, slots=True)
class ReadReport:
    """Numbers of photos in one run: read, of these with text, and failed."""

    read: int = 0
    with_text: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class _Failed:
    """Reason why the text of a photo could not be read."""

    reason: str


_Result = tuple[TextLine, ...] | _Failed | None
"""None: the file is not what was indexed any more, or can't be opened now; it is left for a later run."""


def read_texts(
    folder: bytes,
    catalog: Catalog,
    reader: Callable[[], Reader],
    *,
    max_pixels: int,
    threads: int,
    retry: bool = False,
    progress: Progress,
) -> ReadReport:
    """Read the text of the photos in and below `folder` that has not been read; `reader` is called if any.

    Failures are recorded and not tried again without `retry`. `progress` is called with the number of photos
    done, and their total. On any exception, what has been read is kept, and the exception is raised again.
    """
    if retry:
        with catalog.transaction():
            drop_text_failures(catalog.database, folder)
    total = list_unread(catalog.database, folder)
    if not total:
        return ReadReport()
    progress(0, total)
    engine, stop = reader(), Event()
    report, waiting = ReadReport(), _waiting(catalog)
    executor = ThreadPoolExecutor(threads, thread_name_prefix="clipsight-text")
    running: dict[Future[_Result], UnreadPhoto] = {}
    try:
        while True:
            while len(running) < threads and (photo := _next(waiting, running)) is not None:
                running[executor.submit(_read, photo, engine, max_pixels, stop)] = photo
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                photo = running.pop(future)
                report = _stored(catalog, photo, future.result(), report)
                progress(min(photo.place, total), total)
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
    progress(total, total)
    return report


def _waiting(catalog: Catalog) -> Iterator[UnreadPhoto]:
    """Yield the listed photos, one of each content, without those that another process reads meanwhile."""
    place = 0
    while photos := next_unread(catalog.database, place, _PAGE):
        place = photos[-1].place
        first: dict[bytes, UnreadPhoto] = {}
        for photo in photos:
            first.setdefault(photo.content_hash, photo)
        yield from first.values()


def _next(waiting: Iterator[UnreadPhoto], running: dict[Future[_Result], UnreadPhoto]) -> UnreadPhoto | None:
    """The next photo whose content is not being read."""
    busy = {photo.content_hash for photo in running.values()}
    return next((photo for photo in waiting if photo.content_hash not in busy), None)


def _read(photo: UnreadPhoto, reader: Reader, max_pixels: int, stop: Event) -> _Result:
    if stop.is_set():
        return None
    path = Path(os.fsdecode(photo.path))
    try:
        source, content_hash = read_content(path, photo.size)
    except OSError:
        return None
    if content_hash != photo.content_hash:
        return None
    try:
        with ExitStack() as memory:
            decoded = decode(
                source, mtime_ns=photo.mtime_ns, min_side=MIN_SIDE, max_pixels=max_pixels, memory=memory
            )
            return reader.read(decoded.image)
    except PhotoError as error:
        return _Failed(str(error))
    except Exception as error:  # of OpenCV, ONNX Runtime and others: none may stop the run
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return _Failed(f"the text could not be read: {lines[-1][:_MAX_REASON]}")


def _stored(catalog: Catalog, photo: UnreadPhoto, result: _Result, report: ReadReport) -> ReadReport:
    match result:
        case None:
            return report
        case _Failed(reason):
            put_text_failure(catalog.database, photo.content_hash, reason)
            return ReadReport(report.read, report.with_text, report.failed + 1)
        case lines:
            put_text(catalog.database, photo.content_hash, lines)
            return ReadReport(report.read + 1, report.with_text + bool(lines), report.failed)
