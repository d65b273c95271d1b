"""Pipeline from queued files to catalog rows: read, hash, decode, embed and commit, in parallel.

Each worker thread takes a small batch of files through all stages, ending in one run of the image encoder;
the calling thread distributes batches and commits results. A thread computes only after acquiring a core
(`core_limiter`), and a run of the encoder usually needs a single core, so that no core waits for another.
There are more threads than cores, because some wait for files. Each thread has one batch at a time, which
bounds the memory.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clipsight.core.arguments import DEFAULT_MAX_PIXELS
from clipsight.core.errors import InvalidVectorError, PhotoError
from clipsight.core.files import open_regular
from clipsight.indexing.autotune import DEFAULT_SETTINGS, PipelineSettings, settings_for
from clipsight.indexing.core_limiter import CoreLimiter
from clipsight.indexing.media.photo import decode
from clipsight.indexing.media.taken import Beside, is_complete, read_beside, with_beside, without_beside
from clipsight.indexing.report import IndexProgress
from clipsight.store.catalog import Catalog
from clipsight.store.records import FileStat, Model, PhotoInfo

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

COMMIT_SECONDS = 1.0
"""Interval of commits: a killed process loses at most the results of this time."""

_MAX_IN_MEMORY = 64 << 20
"""Files of up to this many bytes are read once, for hashing and decoding; larger ones twice."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """Options for decoding photos."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    """pictures with more pixels are refused"""
    gps: bool = False
    """read the location from EXIF"""
    exact: bool = False
    """decode JPEGs at full size instead of a reduced DCT scale"""
    strict: bool = False
    """refuse truncated files"""


@dataclass(frozen=True, slots=True)
class _Decoded:
    file: FileStat
    content_hash: bytes
    info: PhotoInfo
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Embedded:
    file: FileStat
    content_hash: bytes
    info: PhotoInfo
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _KnownContent:
    file: FileStat
    content_hash: bytes
    beside: Beside


@dataclass(frozen=True, slots=True)
class _NotAPhoto:
    file: FileStat
    content_hash: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class _NotEmbedded:
    """A photo for which the model returns no valid vector; another model may."""

    file: FileStat
    content_hash: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class _Unreadable:
    file: FileStat
    reason: str


@dataclass(frozen=True, slots=True)
class _Vanished:
    file: FileStat


_Result = _Embedded | _KnownContent | _NotAPhoto | _NotEmbedded | _Unreadable | _Vanished


@dataclass
class Pipeline:
    """One run over the catalog's queue; not reusable."""

    catalog: Catalog
    model: Model
    encoder: "Encoder"
    options: DecodeOptions
    progress: IndexProgress
    on_commit: Callable[[IndexProgress], None] = lambda progress: None
    settings: PipelineSettings | None = None
    """None: those of `settings_for`."""
    _settings: PipelineSettings = DEFAULT_SETTINGS
    _limiter: CoreLimiter = field(init=False)
    _stop: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _in_flight: set[bytes] = field(default_factory=set)
    """Hashes of content being embedded; another file with the same content is deferred."""
    _deferred: list[FileStat] = field(default_factory=list)
    _results: list[_Result] = field(default_factory=list)
    _dequeued: int = 0
    _last_commit: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Process the queue until it is empty; on any exception, commit the finished results and re-raise."""
        self._limiter = CoreLimiter(self.encoder.threads)
        executor = ThreadPoolExecutor(self._limiter.max_threads, thread_name_prefix="clipsight-index")
        running: set[Future[list[_Result]]] = set()
        try:
            self._settings = self.settings or settings_for(
                self.encoder, self.model.fingerprint, self.progress.total
            )
            self.encoder.set_intra_op_threads(self._settings.intra_op_threads)
            while True:
                while len(running) < self._limiter.target_threads:
                    batch = self._next_batch(bool(running))
                    if not batch:
                        break
                    running.add(executor.submit(self._process, batch))
                if not running:
                    break
                done, running = wait(running, timeout=COMMIT_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self._results += future.result()
                if time.monotonic() - self._last_commit >= COMMIT_SECONDS:
                    self._commit()
        except BaseException:
            self._stop.set()
            self.encoder.cancel(self._stop)
            for future in running:
                if future.done() and future.exception() is None:
                    self._results += future.result()
            raise
        finally:
            executor.shutdown(wait=not self._stop.is_set(), cancel_futures=True)
            self._commit()

    def _next_batch(self, busy: bool) -> list[FileStat]:
        # Smaller batches at the end of the queue, so that the last cores finish at about the same time.
        share = (self.progress.total - self._dequeued) // (2 * self._limiter.cores)
        batch = self.catalog.dequeue(max(1, min(self._settings.batch_size, share)))
        self._dequeued += len(batch)
        if not batch and not busy:
            self._commit()  # deferred files can now take over a vector; committing may defer others
            size = self._settings.batch_size
            batch, self._deferred = self._deferred[:size], self._deferred[size:]
        return batch

    # -- in the worker threads ---------------------------------------------------------

    def _process(self, batch: list[FileStat]) -> list[_Result]:
        """Take a batch of files through all stages; return early if the run is stopped."""
        results: list[_Result] = []
        decoded: list[_Decoded] = []
        for file in batch:
            if self._stop.is_set():
                return results
            outcome = self._read(file)
            if isinstance(outcome, _Decoded):
                decoded.append(outcome)
            elif outcome is not None:
                results.append(outcome)
        return results + self._embed(decoded) if decoded else results

    def _embed(self, decoded: list[_Decoded]) -> list[_Result]:
        """Run the encoder once; photos without a valid vector become failures."""
        bad: tuple[int, ...] = ()
        reason = ""
        try:
            with self._limiter.compute(self._settings.intra_op_threads):
                vectors = self.encoder.encode_pixels([photo.pixels for photo in decoded], stop=self._stop)
        except InvalidVectorError as error:
            vectors, bad, reason = error.vectors, error.rows, error.reason
        return [
            _NotEmbedded(photo.file, photo.content_hash, reason)
            if row in bad
            else _Embedded(photo.file, photo.content_hash, photo.info, vectors[row])
            for row, photo in enumerate(decoded)
        ]

    def _read(self, file: FileStat) -> _Decoded | _Result | None:
        """Decode a file for the encoder, or return a result if it need not be embedded; None: deferred."""
        path = Path(os.fsdecode(os.path.join(file.folder, file.name)))
        try:
            with self._limiter.read():
                source, content_hash = read_content(path, file.size)
        except (FileNotFoundError, NotADirectoryError):
            return _Vanished(file)
        except OSError as error:
            return _Unreadable(file, f"can't be read: {error.strerror or error}")
        with self._lock:
            if self._find_content(content_hash) is not None:
                return _KnownContent(file, content_hash, self._beside(file))
            if content_hash in self._in_flight:
                self._deferred.append(file)
                return None
            self._in_flight.add(content_hash)
        try:
            with self._limiter.compute(), ExitStack() as memory:
                photo = decode(
                    source,
                    mtime_ns=file.mtime_ns,
                    min_side=max(self.encoder.input_size) if self._reduce_jpegs else None,
                    max_pixels=self.options.max_pixels,
                    gps=self.options.gps,
                    strict=self.options.strict,
                    memory=memory,
                )
                pixels = self.encoder.preprocess(photo.image)
        except PhotoError as error:
            return _NotAPhoto(file, content_hash, str(error))
        info = photo.info
        if not is_complete(info, gps=self.options.gps):
            info = with_beside(info, self._beside(file), gps=self.options.gps)
        return _Decoded(file, content_hash, info, pixels)

    def _beside(self, file: FileStat) -> Beside:
        with self._limiter.read():
            return read_beside(file.folder, file.name, file.sidecars)

    def _find_content(self, content_hash: bytes) -> tuple[int, bytes] | None:
        return self.catalog.find_content(content_hash, self.model, whole=self.options.strict)

    @property
    def _reduce_jpegs(self) -> bool:
        return self._settings.reduce_jpegs and not self.options.exact

    # -- in the calling thread ----------------------------------------------------

    def _commit(self) -> None:
        """Write the results so far in one transaction and report the progress."""
        results, self._results = self._results, []
        if results:
            with self.catalog.transaction():
                for result in results:
                    self._write(result)
            with self._lock:
                self._in_flight.difference_update(
                    result.content_hash
                    for result in results
                    if isinstance(result, _Embedded | _NotAPhoto | _NotEmbedded)
                )
        self._last_commit = time.monotonic()
        self.on_commit(self.progress)

    def _write(self, result: _Result) -> None:
        file = result.file
        match result:
            case _Embedded():
                watched = self._watched(file, result.info)
                photo_id = self.catalog.put_photo(watched, result.content_hash, result.info)
                self.catalog.put_vector(photo_id, self.model, result.vector)
                self.progress.embedded += 1
                self.progress.partial += result.info.partial is not None
            case _KnownContent():
                if self._write_known_content(file, result.content_hash, result.beside):
                    self.progress.known_content += 1
                else:
                    self._deferred.append(file)
            case _NotAPhoto():
                self.catalog.put_failure(file, result.reason)
                self.progress.failed += 1
            case _NotEmbedded():
                self.catalog.put_failure(file, result.reason, self.model)
                self.progress.failed += 1
            case _Unreadable():
                self.catalog.put_unreadable(file, result.reason)
                self.progress.failed += 1
            case _Vanished():
                self.progress.vanished += 1

    def _write_known_content(self, file: FileStat, content_hash: bytes, beside: Beside) -> bool:
        """Reuse the vector of a touched, moved or copied photo; False if the catalog has it no more.

        The catalog may have lost the content since `_read`, if its photo has changed: two files swap names. A
        photo that already had this content keeps its row, with the vectors of a model that is being replaced.
        Its date is kept, unless there is a better one in a sidecar file.
        """
        found = self._find_content(content_hash)
        if found is None:
            return False
        photo_id, path = found
        is_same = path == os.path.join(file.folder, file.name)
        before = self.catalog.photo_info(photo_id)
        known = without_beside(before, file.mtime_ns) if is_same else before
        info = with_beside(known, beside, gps=self.options.gps)
        file = self._watched(file, info)
        if not is_same and (os.path.lexists(path) or self.catalog.has_content(file, content_hash)):
            self.catalog.copy_photo(photo_id, file, content_hash, info)
            return True
        if is_same:
            self.catalog.touch(photo_id, file)
        else:
            self.catalog.move_photo(photo_id, file)
        if info != before:
            self.catalog.set_info(photo_id, info)
        return True

    def _watched(self, file: FileStat, info: PhotoInfo) -> FileStat:
        """The file, with the stamp of its sidecars only if they could change `info`."""
        return replace(file, sidecar_stamp=None) if is_complete(info, gps=self.options.gps) else file


def read_content(path: Path, size: int) -> tuple[bytes | Path, bytes]:
    """A file of `size` bytes for decoding, in memory unless too large, and its digest. Raises OSError."""
    source = _content(path) if size <= _MAX_IN_MEMORY else path
    return source, hash_content(source)


def _content(path: Path) -> bytes | Path:
    """A file's content, or its path if it has grown too large for memory. Raises OSError."""
    with open_regular(path) as file:
        content = file.read(_MAX_IN_MEMORY + 1)
    return content if len(content) <= _MAX_IN_MEMORY else path


def hash_content(source: bytes | Path) -> bytes:
    """XXH3-128 digest of a file's content, 16 bytes."""
    import xxhash

    if isinstance(source, bytes):
        return bytes(xxhash.xxh3_128_digest(source))
    digest = xxhash.xxh3_128()
    with open_regular(source) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return bytes(digest.digest())
