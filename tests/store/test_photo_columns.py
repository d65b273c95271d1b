"""Photos of a catalog by column."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clipsight.store.catalog import Catalog
from clipsight.store.photo_columns import UNKNOWN, PhotoColumns
from clipsight.store.records import PhotoInfo, State
from tests.support.catalogs import some_model, stat_of

VECTOR = np.array([1.0, 0.0], np.float32)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "library")
    yield opened
    opened.close()


def test_columns_are_those_of_the_catalog(catalog: Catalog) -> None:
    model = some_model(catalog, 2)
    photo = PhotoInfo(640, 480, "JPEG", "2024-05-06T07:08:09", "exif", "A Camera")
    first = catalog.put_photo(stat_of(b"/a/1.jpg", size=7), b"x" * 16, photo)
    catalog.put_vector(first, model, VECTOR)
    second = catalog.put_photo(stat_of(b"/a/b/2.png"), b"x" * 16, PhotoInfo(format="PNG", partial="cut"))
    third = catalog.put_photo(stat_of(b"/c/3.png"), None, PhotoInfo(), State.UNREACHABLE)
    catalog.put_photo(stat_of(b"/c/4.png"), None, PhotoInfo(), State.MISSING)
    found = PhotoColumns.read(catalog.database, model)
    assert found.ids.tolist() == [first, second, third]
    assert found.vector_ids.tolist() == [1, 0, 0]
    assert found.contents.tolist() == [first, first, third]
    assert (found.widths.tolist(), found.heights.tolist()) == ([640, 0, 0], [480, 0, 0])
    assert found.sizes.tolist() == [7, 1, 1]
    assert found.taken.tolist() == [1_714_979_289, UNKNOWN, UNKNOWN]
    assert [found.formats[code] for code in found.format_codes] == ["JPEG", "PNG", None]
    assert found.has_camera.tolist() == [True, False, False]
    assert found.is_whole.tolist() == [True, False, True]
    assert found.is_present.tolist() == [True, True, False]
    assert PhotoColumns.read(catalog.database, model, [b"/a/b", b"/c"]).ids.tolist() == [second, third]
    assert len(PhotoColumns.read(catalog.database, model, [b"/none"])) == 0


@pytest.mark.parametrize(
    ("taken", "source", "is_moment"),
    [
        ("2024-05-06T07:08:09", "exif", True),
        ("2024-05-06T07:08:09", "takeout", True),
        ("2024-05-06T07:08:09", "mtime", False),
        ("2024-05-06T07:08:09", "name", False),
        ("2024-05-06T00:00:00", "exif", False),
        ("not a date", "exif", False),
        (None, None, False),
    ],
)
def test_dates_that_tell_no_moment_are_unknown(
    catalog: Catalog, taken: str | None, source: str | None, is_moment: bool
) -> None:
    model = some_model(catalog, 2)
    catalog.put_photo(stat_of(b"/a.jpg"), None, PhotoInfo(taken=taken, taken_source=source))
    assert (PhotoColumns.read(catalog.database, model).taken[0] != UNKNOWN) == is_moment
