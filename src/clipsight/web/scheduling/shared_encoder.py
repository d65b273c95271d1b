"""An encoder shared by all threads of the server: simultaneous requests are encoded in one batch.

It is an `Encoder`, so that search, classification and explanations can use it without any change.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from clipsight.core.arrays import Float32
from clipsight.models.encoder import Cancelled, Encoder, Stop
from clipsight.models.folder import ModelFolder
from clipsight.web.scheduling.batcher import Batcher
from clipsight.web.scheduling.priority import PrioritySemaphore

_TEXTS_PER_BATCH = 32
_CACHED_TEXTS = 1000
"""The next page of results, or another weight, needs the same texts again."""

_IMAGES_PER_BATCH = 4  # on a CPU core, more at once gains nothing (benchmarks/sessions.py)


class SharedEncoder(Encoder):
    """Batches simultaneous calls; calls with many items are split, so that others run in between.

    A batch holds a permit of `semaphore`, shared by everything that computes, and grows while it waits for
    it. Therefore never call this encoder while holding a permit.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str = "cpu",
        threads: int | None = None,
        semaphore: PrioritySemaphore,
    ) -> None:
        super().__init__(folder, device=device, threads=threads, long_running=True)
        self._caller = threading.local()
        self._lock = threading.Lock()
        self._cache: LRUCache[str, Float32] = LRUCache(_CACHED_TEXTS)
        self._texts: Batcher[str, Float32] = Batcher(
            "texts", super()._text_vectors, _TEXTS_PER_BATCH, permit=semaphore.high
        )
        self._images: Batcher[NDArray[np.uint8], Float32] = Batcher(
            "images", super()._pixel_vectors, _IMAGES_PER_BATCH, self.workers, permit=semaphore.normal
        )

    def close(self) -> None:
        """End the threads; waiting calls raise `Cancelled`."""
        self._texts.close()
        self._images.close()

    @contextmanager
    def cancelled_by(self, stop: Stop | None) -> Iterator[None]:
        """Make calls of this thread inside the block raise `Cancelled` once `stop` is set."""
        self._caller.stop = stop
        try:
            yield
        finally:
            self._caller.stop = None

    def check(self) -> None:
        """Run the text tower once. Raises `ModelError` if it can't be run."""
        self._checked(np.asarray(self._texts(["health"])), "text")

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32[len(texts), dim]; short lists are cached."""
        if len(texts) > _TEXTS_PER_BATCH:  # labels, say: they have their own cache, and would evict queries
            return self._checked(self._in_batches(self._texts, texts, _TEXTS_PER_BATCH, None), "text")
        unique = list(dict.fromkeys(texts))
        with self._lock:
            vectors = {text: self._cache[text] for text in unique if text in self._cache}
        missing = [text for text in unique if text not in vectors]
        new = dict(zip(missing, self._in_batches(self._texts, missing, _TEXTS_PER_BATCH, None), strict=True))
        with self._lock:
            self._cache.update(new)
        vectors |= new
        found = np.array([vectors[text] for text in texts], np.float32).reshape(len(texts), self.dim)
        return self._checked(found, "text")

    def encode_pixels(
        self, pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, stop: Stop | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors float32[len(pixels), dim]. Raises `Cancelled` once `stop` is set."""
        return self._checked(self._in_batches(self._images, pixels, _IMAGES_PER_BATCH, stop), "photo")

    def _in_batches(
        self, batcher: Batcher[Any, Float32], items: Any, size: int, stop: Stop | None
    ) -> NDArray[np.float32]:
        stop = stop or getattr(self._caller, "stop", None)
        vectors = np.empty((len(items), self.dim), np.float32)
        for start in range(0, len(items), size):
            if stop is not None and stop.is_set():
                raise Cancelled
            vectors[start : start + size] = batcher(items[start : start + size], stop=stop)
        return vectors
