"""EXIF metadata: names in any encoding, dates as far as they are right, and damage without errors."""

import io
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.indexing.media.exif import Exif, camera_name, text_of
from tests.support import photo_files as files

ORIGINAL, DIGITIZED, CHANGED = 0x9003, 0x9004, 0x0132


def read(
    tags: dict[int, Any] | None = None,
    details: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> Exif:
    file = files.encode("JPEG", exif=files.exif(tags, details, gps))
    return Exif(Image.open(io.BytesIO(file)))


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("小米".encode().decode("latin-1"), "X", "小米 X"),  # Pillow reads every text as Latin-1
        ("小米".encode(), b"X\0rest", "小米 X"),
        ("小米".encode() + b"\0\xff", "X", "小米 X"),
        (None, "Caméra", "Caméra"),  # Latin-1
        (None, b"Cam\xe9ra", "Caméra"),
        (None, "Came\u0301ra", "Cam\u00e9ra"),
        (None, "Came\u0301ra".encode().decode("latin-1"), "Cam\u00e9ra"),
        ("  ", "\0", None),
        (5, ("x",), None),
    ],
)
def test_names_of_cameras(make: object, model: object, camera: str | None) -> None:
    assert camera_name(make, model) == camera


def test_the_order_of_dates() -> None:
    original, digitized, changed = "2001:01:01 01:01:01", "2002:02:02 02:02:02", "2003:03:03 03:03:03"
    assert read({CHANGED: changed}, {ORIGINAL: original, DIGITIZED: digitized}).date == datetime(
        2001, 1, 1, 1, 1, 1
    )
    assert read({CHANGED: changed}, {DIGITIZED: digitized}).date == datetime(2002, 2, 2, 2, 2, 2)
    assert read({CHANGED: changed}, {}).date == datetime(2003, 3, 3, 3, 3, 3)
    assert read({CHANGED: changed, ORIGINAL: original}, {}).date == datetime(
        2001, 1, 1, 1, 1, 1
    )  # as in TIFF/EP
    assert read({}, {}).date is None


@pytest.mark.parametrize(
    "unbelievable",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "1980:01:01 00:00:00", "2002:12:08 12:00:00", "", "\0"],
)
def test_dates_that_are_none_leave_it_to_the_next(unbelievable: str) -> None:
    assert read({CHANGED: "2003:03:03 03:03:03"}, {ORIGINAL: unbelievable}).date == datetime(
        2003, 3, 3, 3, 3, 3
    )
    assert read({CHANGED: unbelievable}, {ORIGINAL: unbelievable, DIGITIZED: unbelievable}).date is None


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2019:05:12\0" + "10:15:00", datetime(2019, 5, 12, 10, 15)),
        ("2019:05:12 下午10:15:00".encode(), datetime(2019, 5, 12, 22, 15)),
        ("2019:05:12 10:15:00 下午".encode(), datetime(2019, 5, 12, 22, 15)),
        ("2019:00:00 00:00:00", datetime(2019, 1, 1)),
    ],
)
def test_dates_through_a_file(written: str | bytes, date: datetime) -> None:
    assert read({}, {ORIGINAL: written}).date == date


@pytest.mark.parametrize(
    ("details", "gps", "date"),
    [
        ({}, {29: "2019:05:12", 7: (10.0, 15.0, 30.5)}, datetime(2019, 5, 12, 18, 15, 30)),
        ({}, {29: "2019:05:12", 7: (23.0, 0.0, 0.0)}, datetime(2019, 5, 13, 7)),
        ({0x9011: "+02:00"}, {29: "2019:05:12", 7: (23.0, 15.0, 0.0)}, datetime(2019, 5, 13, 1, 15)),
        ({0x9010: "-03:30"}, {29: "2019:05:12", 7: (2.0, 15.0, 0.0)}, datetime(2019, 5, 11, 22, 45)),
        ({0x9011: "   :  "}, {29: "2019:05:12", 7: (10.0, 15.0, 0.0)}, datetime(2019, 5, 12, 18, 15)),
        ({}, {29: "2019:05:12"}, datetime(2019, 5, 12)),
        ({}, {29: "2019:05:12", 7: (99.0, 0.0, 0.0)}, datetime(2019, 5, 12)),
        ({}, {7: (10.0, 15.0, 30.0)}, None),
        ({}, {29: "1980:01:06", 7: (0.0, 0.0, 0.0)}, datetime(1980, 1, 6, 8)),
        ({}, {}, None),
    ],
)
@pytest.mark.usefixtures("eight_hours_ahead")
def test_dates_of_satellites(details: dict[int, Any], gps: dict[int, Any], date: datetime | None) -> None:
    assert read({}, details, gps).gps_date == date


def test_no_block_at_all() -> None:
    exif = Exif(Image.new("RGB", (1, 1)))
    assert (exif.date, exif.gps_date, exif.camera, exif.orientation, exif.position) == (
        None,
        None,
        None,
        1,
        (None, None),
    )


@given(st.binary(max_size=300), st.booleans())
def test_a_damaged_block_is_no_error(junk: bytes, sound_head: bool) -> None:
    picture = Image.new("RGB", (1, 1))
    whole = files.exif(
        {0x0110: "X"}, {ORIGINAL: "2019:05:12 10:15:00"}, {29: "2019:05:12", 7: (1.0, 2.0, 3.0)}
    )
    picture.info["exif"] = whole[: len(junk)] + junk if sound_head else b"Exif\0\0" + junk
    exif = Exif(picture)
    for date in (exif.date, exif.gps_date):
        assert date is None or isinstance(date, datetime)
    assert 1 <= exif.orientation <= 8
    assert exif.camera is None or exif.camera.isprintable()


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.tuples(st.text())))
def test_any_value_has_a_text(value: object) -> None:
    assert "\0" not in text_of(value)
