"""The index of a small library; test_rerank shows that it ranks as FAISS does."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from clipsight.core.progress import no_progress
from clipsight.search.session import Snapshot
from clipsight.store.catalog import Catalog
from clipsight.store.vectors import flat
from clipsight.store.vectors.faiss import FaissIndex
from clipsight.store.vectors.flat import FlatIndex
from tests.support.catalogs import add_photos, some_model, unit_vectors


def no_encoder() -> None:
    raise AssertionError("nothing is embedded here")


@pytest.mark.parametrize(("count", "kind"), [(0, FlatIndex), (4, FlatIndex), (5, FaissIndex)])
def test_a_small_library_has_a_flat_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, kind: type
) -> None:
    monkeypatch.setattr(flat, "MAX_VECTORS", 4)
    with closing(Catalog(tmp_path)) as catalog:
        model = some_model(catalog, 8)
        add_photos(catalog, model, unit_vectors(count, 8), [b"/a/%d.jpg" % number for number in range(count)])
        index = Snapshot(tmp_path, catalog, model, no_encoder).index  # type: ignore[arg-type]
        assert type(index) is kind and len(index) == count


def test_reads_vectors_of_its_model_and_writes_nothing(tmp_path: Path) -> None:
    with closing(Catalog(tmp_path)) as catalog:
        model = some_model(catalog, 8)
        vectors = unit_vectors(3, 8)
        add_photos(catalog, model, vectors, [b"/a/1.jpg", b"/a/2.jpg", b"/a/3.jpg"])
        before = sorted(tmp_path.rglob("*"))
        index = FlatIndex(catalog, model)
        (found,) = index.search(vectors[1:2].astype(np.float32), 2)
        assert not index.is_approximate and not index.should_optimize and index.is_exact_for(None)
        assert index.optimize(no_progress)
        index.compact()
        assert sorted(tmp_path.rglob("*")) == before
    assert found.ids[0] == 2 and found.scores[0] == pytest.approx(1, abs=1e-3) and not found.exhausted
