"""All photos in one order, for browsing."""

from pathlib import Path

import numpy as np

from clipsight.store.catalog import Catalog
from clipsight.store.listing import newest_first
from clipsight.store.records import PhotoInfo, State
from tests.support.catalogs import some_model, stat_of, unit_vectors

PHOTOS: list[tuple[bytes, bytes | None, str | None]] = [
    (b"/p/old.jpg", b"1" * 16, "2001-01-01T00:00:00"),
    (b"/p/b.jpg", b"2" * 16, "2020-06-01T12:00:00"),
    (b"/p/a.jpg", b"2" * 16, "2020-06-01T12:00:00"),
    (b"/p/undated.jpg", None, None),
    (b"/p/new.jpg", b"3" * 16, "2024-01-01T00:00:00"),
    (b"/p/gone.jpg", b"4" * 16, "2025-01-01T00:00:00"),
]


def test_newest_first_and_each_content_once(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    model = some_model(catalog, 4)
    ids = {}
    for (path, content, taken), vector in zip(PHOTOS, unit_vectors(len(PHOTOS), 4), strict=True):
        ids[path] = catalog.put_photo(stat_of(path), content, PhotoInfo(taken=taken))
        catalog.put_vector(ids[path], model, vector)
    catalog.set_state([ids[b"/p/gone.jpg"]], State.MISSING)

    def names(**options: object) -> list[str]:
        found = newest_first(catalog.database, model, **options)  # type: ignore[arg-type]
        photos = {photo.vector_id: photo.path for photo in catalog.embedded_photos(found)}
        return [photos[id_].decode()[3:-4] for id_ in found.tolist()]

    assert names() == ["new", "a", "old", "undated"]
    assert names(duplicates=True) == ["new", "a", "b", "old", "undated"]
    all_ids = np.sort(newest_first(catalog.database, model, duplicates=True))
    assert names(allowed=all_ids[:2]) == ["b", "old"]
    assert names(allowed=all_ids[:0]) == []
    catalog.set_state([ids[b"/p/a.jpg"]], State.UNREACHABLE)
    assert names() == ["new", "b", "old", "undated"]
    catalog.close()
