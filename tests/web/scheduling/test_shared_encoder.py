"""The shared encoder: the vectors of an unshared encoder, from fewer runs."""

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cachetools import LRUCache
from numpy.typing import NDArray

from clipsight.core.errors import InvalidVectorError
from clipsight.models.encoder import Cancelled, Encoder
from clipsight.models.folder import ModelFolder
from clipsight.web.scheduling.priority import PrioritySemaphore
from clipsight.web.scheduling.shared_encoder import SharedEncoder
from tests.support.tiny_models import make_model_blind_to_black


@pytest.fixture
def folder(tiny_model: Path) -> ModelFolder:
    return ModelFolder.read(tiny_model)


@pytest.fixture
def shared(folder: ModelFolder) -> Iterator[SharedEncoder]:
    encoder = SharedEncoder(folder, semaphore=PrioritySemaphore(2))
    yield encoder
    encoder.close()


def _pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 33, 70])
def test_vectors_are_those_of_an_encoder(folder: ModelFolder, shared: SharedEncoder, count: int) -> None:
    alone = Encoder(folder)
    texts = [f"text {number % 40}" for number in range(count)]
    for _ in range(2):  # the second time from memory
        assert np.allclose(shared.encode_texts(texts), alone.encode_texts(texts), atol=1e-6)
    pixels = _pixels(count)
    assert np.allclose(shared.encode_pixels(pixels), alone.encode_pixels(pixels), atol=1e-6)
    assert shared.encode_texts(texts).shape == (count, shared.dim)


def test_many_threads_each_get_their_own(folder: ModelFolder, shared: SharedEncoder) -> None:
    texts = [f"a {word} and {number}" for number in range(40) for word in ("dog", "cat")]
    expected = Encoder(folder).encode_texts(texts)
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda text: shared.encode_texts([text])[0], texts))
    assert np.allclose(found, expected, atol=1e-6)


def test_an_invalid_vector_is_an_error_of_its_own_call_only(tmp_path: Path) -> None:
    folder = ModelFolder.read(make_model_blind_to_black(tmp_path / "m"))
    semaphore = PrioritySemaphore(1)
    blind = SharedEncoder(folder, semaphore=semaphore)
    good, black = _pixels(1), np.zeros((1, 32, 32, 3), np.uint8)
    try:
        with ThreadPoolExecutor(2) as pool:
            with semaphore.high:  # both wait, and make one batch
                calls = [pool.submit(blind.encode_pixels, pixels) for pixels in (black, good)]
                time.sleep(0.1)
            with pytest.raises(InvalidVectorError, match="photo 1 of 1"):
                calls[0].result()
            assert np.allclose(calls[1].result(), Encoder(folder).encode_pixels(good), atol=1e-6)
    finally:
        blind.close()


def test_cached_texts_are_not_embedded_again(shared: SharedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_cache", LRUCache(2))
    runs: list[list[str]] = []
    compute = shared._texts._compute

    def counted(items: list[str]) -> Iterable[NDArray[np.float32]]:
        runs.append(items)
        return compute(items)

    monkeypatch.setattr(shared._texts, "_compute", counted)
    for text in ("a", "b", "a", "c", "a", "b"):
        shared.encode_texts([text])
    assert runs == [["a"], ["b"], ["c"], ["b"]]


def test_a_cancelled_call_ends_between_batches(shared: SharedEncoder) -> None:
    stop = threading.Event()
    stop.set()
    with shared.cancelled_by(stop), pytest.raises(Cancelled):
        shared.encode_texts([f"text {number}" for number in range(100)])
    with pytest.raises(Cancelled):
        shared.encode_pixels(_pixels(9), stop=stop)
    assert len(shared.encode_texts(["x"])) == 1


def test_tokens_are_counted(shared: SharedEncoder) -> None:
    assert shared.count_tokens(["a cat", "x"]) == 4 + 3
