"""Neighbours of many vectors, against brute force."""

from pathlib import Path

import numpy as np
import pytest

from clipsight.core.arrays import Ids
from clipsight.store.catalog import Catalog
from clipsight.store.vectors import neighbours
from clipsight.store.vectors.neighbours import Neighbours
from tests.support.arrays import unit
from tests.support.catalogs import add_photos, some_model

COSINE = 0.9


def catalog_of_pairs(folder: Path, count: int) -> tuple[Catalog, Ids]:
    """A catalog where each photo of an odd id is close to the next one; the ids of all vectors."""
    random = np.random.default_rng(0)
    first = unit(random.standard_normal((count // 2, 32)))
    second = unit(first + 0.03 * random.standard_normal(first.shape))
    vectors = np.stack([first, second], axis=1).reshape(count, 32).astype("<f2")
    catalog = Catalog(folder)
    model = some_model(catalog, 32)
    add_photos(catalog, model, vectors, [b"/%06d" % number for number in range(count)])
    return catalog, catalog.vector_ids(model)


def pairs(found: Neighbours, ids: Ids) -> set[tuple[int, int]]:
    results = found.within(found.vectors(ids), COSINE)
    return {
        (one, other)
        for one, (others, cosines) in zip(ids.tolist(), results, strict=True)
        for other, cosine in zip(others.tolist(), cosines.tolist(), strict=True)
        if one < other and cosine >= COSINE
    }


def expected(ids: Ids) -> set[tuple[int, int]]:
    return set(zip(ids[::2].tolist(), ids[1::2].tolist(), strict=True))


def test_all_pairs_of_a_small_collection_are_found(tmp_path: Path) -> None:
    catalog, ids = catalog_of_pairs(tmp_path, 400)
    model = catalog.current_model()
    assert model is not None
    counts: list[tuple[int, int]] = []
    found = Neighbours(catalog, model, ids, lambda done, total: counts.append((done, total)))
    assert len(found) == 400 and counts[-1] == (400, 400)
    assert pairs(found, ids) == expected(ids)
    some = Neighbours(catalog, model, ids[:100], lambda done, total: None)
    assert pairs(some, ids[:100]) == expected(ids[:100])
    catalog.close()


def test_vectors_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    catalog, ids = catalog_of_pairs(tmp_path, 20)
    model = catalog.current_model()
    assert model is not None
    found = Neighbours(catalog, model, ids, lambda done, total: None)
    stored = np.concatenate([vectors for _, vectors in catalog.vectors_after(0, model)]).astype(np.float32)
    assert np.array_equal(found.vectors(ids[[5, 0, 19, 3]]), stored[[5, 0, 19, 3]])
    assert not found.vectors(np.array([999])).any()
    catalog.close()


@pytest.mark.slow
def test_nearly_all_pairs_of_a_large_collection_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MAX_COMPARED", 1000)
    catalog, ids = catalog_of_pairs(tmp_path, 3000)
    model = catalog.current_model()
    assert model is not None
    found = Neighbours(catalog, model, ids, lambda done, total: None)
    recalled = pairs(found, ids)
    assert recalled <= expected(ids) and len(recalled) >= 0.95 * len(expected(ids))
    catalog.close()
