"""An encoder that all threads of the server share: what they ask for at the same time is encoded together.

It is an `Encoder` like any other, so that search, classification and explanations use it without knowing.
Called by `reader` only.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsight.models.encoder import Cancelled, Encoder, Stop
from clipsight.models.folder import ModelFolder
from clipsight.web.scheduling.batcher import Batcher
from clipsight.web.scheduling.priority import Turns

Vector = NDArray[np.float32]

_TEXTS = 32
_RECENT = 1000
"""Texts whose vectors are remembered: the next page of results, or another weight, asks for the same ones."""

_PIXELS = 4  # on a CPU core, more at once gains nothing (benchmarks/sessions.py)


class SharedEncoder(Encoder):
    """Calls at the same time are batched; those of many texts or photos take turns with others.

    A batch is encoded in one of the `turns` that all who compute share: while it waits for that, it grows. So
    nobody may call this encoder from inside a turn.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str = "cpu",
        threads: int | None = None,
        turns: Turns,
    ) -> None:
        super().__init__(folder, device=device, threads=threads, lasting=True)
        self._calling = threading.local()
        self._lock = threading.Lock()
        self._recent: dict[str, Vector] = {}
        self._texts: Batcher[str, Vector] = Batcher("texts", super().encode_texts, _TEXTS, turn=turns.first)
        self._pixels: Batcher[NDArray[np.uint8], Vector] = Batcher(
            "pixels", super().encode_pixels, _PIXELS, self.workers, turn=turns.second
        )

    def close(self) -> None:
        """End the threads; calls that wait raise Cancelled."""
        self._texts.close()
        self._pixels.close()

    @contextmanager
    def until(self, stop: Stop | None) -> Iterator[None]:
        """Calls of this thread inside raise Cancelled once `stop` is set."""
        self._calling.stop = stop
        try:
            yield
        finally:
            self._calling.stop = None

    def check(self) -> None:
        """Run the text tower once; raises ModelError if it can't be run."""
        self._texts(["health"])

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Tokens of all texts together, start and end tokens included, as far as the model reads them."""
        return int(self._tokenize(texts, pad_to_context=False).mask.sum())

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(texts) > _TEXTS:  # labels, say: they have a cache of their own, and would drive out queries
            return self._in_turns(self._texts, texts, _TEXTS, None)
        with self._lock:
            found = {text: self._recent.pop(text) for text in dict.fromkeys(texts) if text in self._recent}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        found |= dict(zip(missing, self._in_turns(self._texts, missing, _TEXTS, None), strict=True))
        with self._lock:
            self._recent |= found
            for oldest in list(self._recent)[:-_RECENT]:
                del self._recent[oldest]
        return np.array([found[text] for text in texts], np.float32).reshape(len(texts), self.dim)

    def encode_pixels(
        self, pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, stop: Stop | None = None
    ) -> NDArray[np.float32]:
        return self._in_turns(self._pixels, pixels, _PIXELS, stop)

    def _in_turns(
        self, batcher: Batcher[Any, Vector], items: Any, step: int, stop: Stop | None
    ) -> NDArray[np.float32]:
        wanted = stop or getattr(self._calling, "stop", None)
        vectors = np.empty((len(items), self.dim), np.float32)
        for start in range(0, len(items), step):
            if wanted is not None and wanted.is_set():
                raise Cancelled
            vectors[start : start + step] = batcher(items[start : start + step], stop=wanted)
        return vectors
