"""Dates of a PNG, in its texts and its tIME chunk."""

import io
import struct
import zlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.indexing.media.png import change_date, text_date
from tests.support import photo_files as files

DATE = datetime(2019, 5, 12, 10, 15)


@pytest.mark.parametrize(
    ("info", "date"),
    [
        ({"Creation Time": "2019-05-12T10:15:00Z"}, DATE),
        ({"Creation Time": "Sun, 12 May 2019 10:15:00 +0000"}, DATE),
        ({"creation time": "2019:05:12 10:15:00"}, DATE),
        ({"exif:DateTimeOriginal": "2019:05:12 10:15:00", "Creation Time": "2021-01-01"}, DATE),
        ({"exif:DateTime": "2021:01:01 01:00:00", "Creation Time": "2019-05-12T10:15"}, DATE),
        ({"Creation Time": "unknown", "exif:DateTime": "2019:05:12 10:15:00"}, DATE),
        ({"date:create": "2019-05-12T10:15:00+00:00", "date:modify": "2019-05-12T10:15:00+00:00"}, None),
        ({"Software": "2019-05-12", (1, 2): "2019-05-12", "Creation Time": b"2019-05-12"}, None),
        ({}, None),
    ],
)
def test_dates_in_texts(info: dict[object, object], date: datetime | None) -> None:
    assert text_date(info) == date


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_texts_of_a_file(kind: bytes) -> None:
    text = b"2019-05-12T10:15:00"
    contents = {b"tEXt": text, b"zTXt": b"\0" + zlib.compress(text), b"iTXt": b"\0\0en\0\0" + text}
    picture = Image.open(io.BytesIO(files.png_with((kind, b"Creation Time\0" + contents[kind]), end=True)))
    picture.load()
    assert text_date(picture.info) == DATE


def time_chunk(*parts: int) -> tuple[bytes, bytes]:
    return b"tIME", struct.pack(">H5B", *parts)


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.usefixtures("eight_hours_ahead")
def test_the_time_of_the_last_change(end: bool) -> None:
    file = files.png_with((b"tEXt", b"a\0b"), time_chunk(2019, 5, 12, 2, 15, 0), end=end)
    assert change_date(io.BytesIO(file)) == DATE
    assert change_date(io.BytesIO(files.encode("PNG"))) is None


@pytest.mark.parametrize(
    "chunk",
    [
        time_chunk(2019, 13, 12, 2, 15, 0),
        time_chunk(2019, 5, 12, 99, 15, 0),
        time_chunk(0, 0, 0, 0, 0, 0),
        time_chunk(1980, 1, 1, 12, 0, 0),
        time_chunk(65535, 1, 1, 12, 0, 0),
        (b"tIME", b"\7\7"),
    ],
)
def test_times_that_can_not_be(chunk: tuple[bytes, bytes]) -> None:
    assert change_date(io.BytesIO(files.png_with(chunk))) is None


@given(st.binary(max_size=64), st.integers(0, 200))
def test_any_bytes_are_a_date_or_none(junk: bytes, kept: int) -> None:
    file = files.png_with(time_chunk(2019, 5, 12, 2, 15, 0))
    date = change_date(io.BytesIO(file[:kept] + junk))
    assert date is None or isinstance(date, datetime)


@given(
    st.dictionaries(
        st.one_of(st.text(), st.sampled_from(["Creation Time"])), st.one_of(st.text(), st.binary())
    )
)
@pytest.mark.slow
def test_any_texts_are_a_date_or_none(info: dict[str, object]) -> None:
    date = text_date(info)
    assert date is None or isinstance(date, datetime)
