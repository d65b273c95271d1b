"""Filters against plain Python over the same photos, and which of the indexes answers them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.errors import QueryError
from clipsight.store import filters as filters_module
from clipsight.store.catalog import Catalog
from clipsight.store.filters import EVERYTHING, Filters, parse_bytes, values_of, vector_ids_with
from clipsight.store.records import Model, PhotoInfo
from tests.support.catalogs import add_photos, some_model, stat_of, unit_vectors
from tests.support.properties import examples

DATES = ("2023-12-31T23:59:59", "2024-01-01T00:00:00", "2024-05-06T07:30:00", "2025-02-03T10:00:00", None)
CAMERAS = ("Canon EOS 5D", "CANON PowerShot", "Pixel 8", None)
FORMATS = ("JPEG", "HEIF", "PNG", None)
SIDES = (640, 4000, 9000, None)


def photo(number: int) -> tuple[int, PhotoInfo]:
    """Size and properties of one of many photos, no two properties of which go together."""
    return number % 11 * 100_000, PhotoInfo(
        width=SIDES[number % 4],
        height=SIDES[number // 4 % 4],
        format=FORMATS[number // 3 % 4],
        taken=DATES[number % 5],
        camera=CAMERAS[number // 5 % 4],
    )


PHOTOS = [photo(number) for number in range(240)]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = Catalog(tmp_path_factory.mktemp("library"))
    model = some_model(opened, 4)
    other = opened.add_model("b" * 64, "other", "", 4)
    vectors = unit_vectors(len(PHOTOS), 4)
    with opened.transaction():
        for number, (size, info) in enumerate(PHOTOS):
            photo_id = opened.put_photo(stat_of(b"/p/%04d" % number, size=size), None, info)
            opened.put_vector(photo_id, other, vectors[number])
            opened.put_vector(photo_id, model, vectors[number])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> Model:
    found = catalog.current_model()
    assert found is not None
    return found


def numbers(catalog: Catalog, model: Model, filters: Filters) -> list[int]:
    """Which of `PHOTOS` pass."""
    ids = vector_ids_with(catalog.database, model, filters)
    assert ids is not None
    return sorted(hit.photo_id - 1 for hit in catalog.embedded_photos(ids))


def passing(filters: Filters) -> list[int]:
    """The same by looking at each."""

    def between(value: object, least: object, most: object) -> bool:
        if least is None and most is None:
            return True
        return value is not None and (least is None or value >= least) and (most is None or value <= most)  # type: ignore[operator]

    found = []
    for number, (size, photo) in enumerate(PHOTOS):
        dated = filters.after is None and filters.before is None
        if photo.taken is not None:
            dated = (filters.after is None or photo.taken >= filters.after) and (
                filters.before is None or photo.taken < filters.before
            )
        formatted = not filters.formats or photo.format in [name.upper() for name in filters.formats]
        by = (photo.camera or "").casefold()
        taken_by = not filters.cameras or any(camera.casefold() in by for camera in filters.cameras)
        bounds = (
            between(size, filters.min_bytes, filters.max_bytes)
            and between(photo.width, filters.min_width, filters.max_width)
            and between(photo.height, filters.min_height, filters.max_height)
        )
        if dated and formatted and taken_by and bounds:
            found.append(number)
    return found


sizes = st.none() | st.sampled_from([0, 500_000, 900_001])
sides = st.none() | st.sampled_from([1, 640, 4001])
dates = st.none() | st.sampled_from(["2024", "2024-01", "2024-05-06", "2024-05-06T07:30", "2026"])
many_filters = st.builds(
    Filters,
    after=dates,
    before=dates,
    formats=st.sampled_from([(), ("jpeg",), ("HEIF", "png")]),
    cameras=st.sampled_from([(), ("canon",), ("pixel", "5d")]),
    min_bytes=sizes,
    max_bytes=sizes,
    min_width=sides,
    max_width=sides,
    min_height=sides,
    max_height=sides,
)


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 30, 50_000], ids=lambda many: f"many: {many}")
@examples(100)
@given(filters=many_filters.filter(lambda filters: filters != EVERYTHING))
def test_filters_agree_with_a_check_of_each_photo(
    catalog: Catalog, model: Model, many: int, filters: Filters
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters_module, "_MAX_INDEXED", many)  # so that both query plans are used
        assert numbers(catalog, model, filters) == passing(filters)


def test_empty_filters_restrict_nothing(catalog: Catalog, model: Model) -> None:
    assert vector_ids_with(catalog.database, model, EVERYTHING) is None
    assert vector_ids_with(catalog.database, model, Filters(folders=("/p",), labels=("cat",))) is None


def test_names_of_formats_and_parts_of_names_of_cameras(catalog: Catalog, model: Model) -> None:
    assert numbers(catalog, model, Filters(formats=("jpg", "heic"))) == passing(
        Filters(formats=("JPEG", "HEIF"))
    )
    assert numbers(catalog, model, Filters(cameras=("EOS",))) == passing(Filters(cameras=("Canon EOS 5D",)))


def test_a_value_that_no_photo_has_is_an_error_that_lists_existing_ones(
    catalog: Catalog, model: Model
) -> None:
    with pytest.raises(
        QueryError, match="no photo has the camera 'nikon': there are CANON PowerShot, Canon EOS"
    ):
        vector_ids_with(catalog.database, model, Filters(cameras=("canon", "nikon")))
    with pytest.raises(QueryError, match=r"format 'gif': there are HEIF, JPEG, PNG$"):
        vector_ids_with(catalog.database, model, Filters(formats=("gif",)))
    assert values_of(catalog.database, "format") == ["HEIF", "JPEG", "PNG"]


def test_filters_of_an_empty_library(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    model = some_model(catalog, 4)
    assert numbers(catalog, model, Filters(after="2024")) == []
    with pytest.raises(QueryError, match="the format of no photo is known"):
        vector_ids_with(catalog.database, model, Filters(formats=("jpeg",)))
    catalog.close()


@pytest.mark.parametrize("date", ["", "May", "24", "2024-13", "2024-5", "2024-02-30", "2024-05-06T", "2024 "])
def test_other_text_is_not_a_date(date: str) -> None:
    for name in ("after", "before"):
        with pytest.raises(QueryError, match="is not a date: write 2024"):
            replace(EVERYTHING, **{name: date})  # type: ignore[arg-type]


def test_a_time_may_follow_a_space(catalog: Catalog, model: Model) -> None:
    with_space, with_t = Filters(after="2024-05-06 07:30"), Filters(after="2024-05-06T07:30")
    assert numbers(catalog, model, with_space) == numbers(catalog, model, with_t) != []


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("800", 800), ("500k", 500_000), ("2.5MB", 2_500_000), (" 1 g ", 10**9)]
)
def test_sizes_of_files(text: str, count: int) -> None:
    assert parse_bytes(text) == count


def test_a_file_size_of_any_length_is_an_error_not_an_overflow() -> None:
    with pytest.raises(QueryError, match="`min_bytes` must lie between"):
        Filters(min_bytes=parse_bytes("9" * 5000 + "g"))


@pytest.mark.parametrize("text", ["", "big", "-1", "1.5.2", "3 TB", "MB"])
def test_text_that_is_not_a_file_size(text: str) -> None:
    with pytest.raises(QueryError, match="is not a file size"):
        parse_bytes(text)


@pytest.mark.parametrize("field", ["after", "formats", "cameras", "min_bytes", "min_width", "max_height"])
def test_each_filter_uses_an_index(catalog: Catalog, model: Model, field: str) -> None:
    values = {"after": "2024", "formats": ("png",), "cameras": ("pixel",)}
    connection = catalog.database._connection
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    vector_ids_with(catalog.database, model, replace(EVERYTHING, **{field: values.get(field, 5)}))  # type: ignore[arg-type]
    connection.set_trace_callback(None)
    plan = [
        row[3] for statement in statements for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert any(re.search("SEARCH p USING (COVERING )?INDEX photos_by_", detail) for detail in plan)
    assert not any(re.search(r"SCAN (p|photos|v|vectors)\b", detail) for detail in plan)


def test_a_photo_that_changes_is_found_as_it_is_now(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    model = some_model(catalog, 4)
    (photo_id,) = add_photos(catalog, model, unit_vectors(1, 4), [b"/p/a"])
    for date in ("2020-01-01T00:00:00", "2024-01-01T00:00:00"):
        catalog.put_photo(stat_of(b"/p/a"), b"/p/a", PhotoInfo(taken=date))
        year = date[:4]
        assert len(vector_ids_with(catalog.database, model, Filters(after=year)) or ()) == 1
        assert catalog.photo_id_at(b"/p/a") == photo_id
    assert numbers(catalog, model, Filters(before="2024")) == []
    catalog.close()


def test_cameras_are_found_in_any_unicode_form(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "library")
    model = some_model(catalog, 4)
    add_photos(catalog, model, unit_vectors(1, 4), [b"/p/a.jpg"])
    catalog.put_photo(stat_of(b"/p/a.jpg"), b"/p/a.jpg", PhotoInfo(camera="Cam\u00e9ra"))
    for wanted in ("CAME\u0301RA", "cam\u00c9ra", "cam\u00e9"):
        found = vector_ids_with(catalog.database, model, Filters(cameras=(wanted,)))
        assert found is not None and len(found) == 1
    catalog.close()
