"""Queued files to catalog rows: read, hash, decode, encode and commit, overlapped.

Each of a few threads takes a small batch of files through all stages by itself, ending in
one run of the image encoder; the calling thread hands out batches and commits results.
A thread computes only while it holds a core, and a run of the encoder seldom needs more than
one, so the cores never wait for each other. There are more threads than cores, for those that wait
for files; the batches in flight, which bound the memory, are as many as the threads.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import PhotoError
from clipsight.indexing.autotune import DEFAULT, Tuning, tuning_for
from clipsight.indexing.core_limiter import Cores
from clipsight.indexing.media.photo import DEFAULT_MAX_PIXELS, PhotoInfo, decode
from clipsight.store.catalog import Catalog
from clipsight.store.records import Description, FileStat, Model

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

COMMIT_SECONDS = 1.0
"""Results are committed when they are this old: what a killed process can lose."""

_IN_MEMORY = 64 << 20
"""Files up to this size are read once, for the hash and for decoding."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How photos are read; `exact` decodes JPEGs at full size instead of a DCT scale."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    gps: bool = False
    exact: bool = False


@dataclass
class Progress:
    """What a run has done so far, in files."""

    total: int
    embedded: int = 0
    known_content: int = 0
    failed: int = 0
    vanished: int = 0

    @property
    def done(self) -> int:
        """How many of `total` are settled."""
        return self.embedded + self.known_content + self.failed + self.vanished


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


@dataclass(frozen=True, slots=True)
class _NotAPhoto:
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


_Result = _Embedded | _KnownContent | _NotAPhoto | _Unreadable | _Vanished


@dataclass
class Pipeline:
    """One run over the catalog's queue; use it once."""

    catalog: Catalog
    model: Model
    encoder: "Encoder"
    options: ReadOptions
    progress: Progress
    report: Callable[[Progress], None] = lambda progress: None
    tuning: Tuning | None = None
    """None: what `tuning_for` says of this machine and model."""
    _tuning: Tuning = DEFAULT
    _cores: Cores = field(init=False)
    _stop: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _in_flight: set[bytes] = field(default_factory=set)
    """Hashes being embedded: a second file of the same content waits for the first."""
    _waiting: list[FileStat] = field(default_factory=list)
    _results: list[_Result] = field(default_factory=list)
    _taken: int = 0
    _committed: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Work until the queue is empty; on any exception, commit what is embedded and raise it."""
        self._cores = Cores(self.encoder.threads)
        executor = ThreadPoolExecutor(self._cores.most_threads, thread_name_prefix="clipsight-index")
        running: set[Future[list[_Result]]] = set()
        try:
            self._tuning = self.tuning or tuning_for(
                self.encoder, self.model.fingerprint, self.progress.total
            )
            self.encoder.use_threads_a_run(self._tuning.threads_a_run)
            while True:
                while len(running) < self._cores.threads and (batch := self._next_batch(bool(running))):
                    running.add(executor.submit(self._process, batch))
                if not running:
                    break
                done, running = wait(running, timeout=COMMIT_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self._results += future.result()
                if time.monotonic() - self._committed >= COMMIT_SECONDS:
                    self._commit()
        except BaseException:
            self._stop.set()
            self.encoder.cancel()
            for future in running:
                if future.done() and future.exception() is None:
                    self._results += future.result()
            raise
        finally:
            executor.shutdown(wait=not self._stop.is_set(), cancel_futures=True)
            self._commit()

    def _next_batch(self, busy: bool) -> list[FileStat]:
        # Small at the end, so that no core works on a whole batch while the others have nothing left.
        share = (self.progress.total - self._taken) // (2 * self._cores.count)
        batch = self.catalog.take_queued(max(1, min(self._tuning.batch, share)))
        self._taken += len(batch)
        if not batch and not busy:
            self._commit()  # settles the twins that files wait for, and may have more files wait
            batch, self._waiting = self._waiting[: self._tuning.batch], self._waiting[self._tuning.batch :]
        return batch

    # -- in the threads ---------------------------------------------------------

    def _process(self, batch: list[FileStat]) -> list[_Result]:
        """Take a batch of files through all stages; ends early when the run stops."""
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
        if decoded:
            with self._cores.computing(self._tuning.threads_a_run):
                vectors = self.encoder.encode_pixels([photo.pixels for photo in decoded], stop=self._stop)
            results += [
                _Embedded(photo.file, photo.content_hash, photo.info, vector)
                for photo, vector in zip(decoded, vectors, strict=True)
            ]
        return results

    def _read(self, file: FileStat) -> _Decoded | _Result | None:
        """One photo as the encoder takes it, or what is known of it without; None if it has to wait."""
        path = Path(os.fsdecode(os.path.join(file.folder, file.name)))
        try:
            with self._cores.reading():
                source: bytes | Path = path.read_bytes() if file.size <= _IN_MEMORY else path
                content_hash = hash_content(source)
        except (FileNotFoundError, NotADirectoryError):
            return _Vanished(file)
        except OSError as error:
            return _Unreadable(file, f"can't be read: {error.strerror or error}")
        with self._lock:
            if self.catalog.find_content(content_hash, self.model) is not None:
                return _KnownContent(file, content_hash)
            if content_hash in self._in_flight:
                self._waiting.append(file)
                return None
            self._in_flight.add(content_hash)
        try:
            with self._cores.computing():
                photo = decode(
                    source,
                    mtime_ns=file.mtime_ns,
                    min_side=max(self.encoder.input_size) if self._reduces else None,
                    max_pixels=self.options.max_pixels,
                    gps=self.options.gps,
                )
                pixels = self.encoder.preprocess(photo.image)
        except PhotoError as error:
            return _NotAPhoto(file, content_hash, str(error))
        return _Decoded(file, content_hash, photo.info, pixels)

    @property
    def _reduces(self) -> bool:
        return self._tuning.reduce and not self.options.exact

    # -- in the calling thread ----------------------------------------------------

    def _commit(self) -> None:
        """Write the results so far in one transaction."""
        results, self._results = self._results, []
        if results:
            with self.catalog.transaction():
                for result in results:
                    self._write(result)
            with self._lock:
                self._in_flight.difference_update(
                    result.content_hash for result in results if isinstance(result, _Embedded | _NotAPhoto)
                )
        self._committed = time.monotonic()
        self.report(self.progress)

    def _write(self, result: _Result) -> None:
        file = result.file
        match result:
            case _Embedded():
                photo_id = self.catalog.put_photo(file, result.content_hash, _describe(result.info))
                self.catalog.put_vector(photo_id, self.model, result.vector)
                self.progress.embedded += 1
            case _KnownContent():
                if self._write_known_content(file, result.content_hash):
                    self.progress.known_content += 1
                else:
                    self._waiting.append(file)
            case _NotAPhoto():
                self.catalog.put_failure(file, result.reason)
                self.progress.failed += 1
            case _Unreadable():
                self.catalog.put_unreadable(file, result.reason)
                self.progress.failed += 1
            case _Vanished():
                self.progress.vanished += 1

    def _write_known_content(self, file: FileStat, content_hash: bytes) -> bool:
        """The same file again, a moved one, or a copy: its vector is taken over, if it is still there.

        It is not where its photo got other content meanwhile, such as two files that swapped names. A photo
        that had this content itself keeps its row, with vectors of a model that is being replaced.
        """
        found = self.catalog.find_content(content_hash, self.model)
        if found is None:
            return False
        photo_id, path = found
        if path == os.path.join(file.folder, file.name):
            self.catalog.touch(photo_id, file)
        elif os.path.lexists(path) or self.catalog.has_content(file, content_hash):
            self.catalog.copy_photo(photo_id, file, content_hash)
        else:
            self.catalog.move_photo(photo_id, file)
        return True


def hash_content(source: bytes | Path) -> bytes:
    """XXH3-128 of a file's content: fast, and unlike by chance only once in 10^38 pairs."""
    import xxhash

    if isinstance(source, bytes):
        return bytes(xxhash.xxh3_128_digest(source))
    digest = xxhash.xxh3_128()
    with source.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return bytes(digest.digest())


def _describe(info: PhotoInfo) -> Description:
    return Description(
        info.width,
        info.height,
        info.format,
        info.taken,
        info.taken_source,
        info.camera,
        info.orientation,
        info.latitude,
        info.longitude,
    )
