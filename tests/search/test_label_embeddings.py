"""The cache of label embeddings: exact vectors, by model, templates and label."""

from pathlib import Path

import numpy as np

from clipsight.search.label_embeddings import LabelCache

PLAIN = ("{}",)


def some(count: int, seed: int = 0, dim: int = 32) -> dict[bytes, np.ndarray]:
    random = np.random.default_rng(seed)
    keys = [LabelCache.key("model", PLAIN, f"{seed} {number}") for number in range(count)]
    return dict(zip(keys, random.standard_normal((count, dim), np.float32), strict=True))


def same(found: dict[bytes, np.ndarray], kept: dict[bytes, np.ndarray]) -> bool:
    return set(found) == set(kept) and all(np.array_equal(found[key], kept[key]) for key in kept)


def test_vectors_round_trip_bit_for_bit(tmp_path: Path) -> None:
    cache, vectors = LabelCache(tmp_path), some(1200)
    assert cache.get(vectors) == {}
    cache.put(vectors)
    assert same(LabelCache(tmp_path).get([*vectors, b"another key"]), vectors)
    cache.put({key: -vector for key, vector in vectors.items()})
    assert same(cache.get(vectors), {key: -vector for key, vector in vectors.items()})


def test_a_key_depends_on_model_templates_and_label() -> None:
    keys = {
        LabelCache.key(model, templates, label)
        for model in ("m", "m2")
        for templates in (("{}",), ("{}", "a {}"), ("{}a", "{}"), ("{}", "a", "{}"))
        for label in ("dog", "cat", "")
    }
    assert len(keys) == 2 * 4 * 3
