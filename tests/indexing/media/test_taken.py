"""The order of the sources of a photo's date."""

import io
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clipsight.indexing.media.exif import Exif
from clipsight.indexing.media.taken import (
    Beside,
    Taken,
    is_complete,
    read_beside,
    taken_at_mtime,
    taken_in,
    with_beside,
    without_beside,
)
from clipsight.store.records import PhotoInfo
from tests.indexing.media.test_png import time_chunk
from tests.indexing.media.test_xmp import itxt, packet
from tests.support import photo_files as files

EXIF = files.exif({}, {0x9003: "2001:01:02 03:04:05"}, {29: "2004:01:02", 7: (3.0, 4.0, 5.0)})
GPS = files.exif({}, {0x9003: "0000:00:00 00:00:00"}, {29: "2004:01:02", 7: (3.0, 4.0, 5.0)})
XMP = itxt(packet('xmp:CreateDate="2002-01-02T03:04:05"'))
TEXT = (b"tEXt", b"Creation Time\x002003:01:02 03:04:05")
CHANGED = time_chunk(2005, 1, 2, 3, 4, 5)


def exif_chunk(block: bytes) -> tuple[bytes, bytes]:
    return b"eXIf", block.removeprefix(b"Exif\0\0")


def taken(file: bytes) -> Taken | None:
    picture = Image.open(content := io.BytesIO(file))
    picture.load()
    return taken_in(picture, Exif(picture), content)


@pytest.mark.usefixtures("eight_hours_ahead")
def test_the_order_within_a_file() -> None:
    chunks = [exif_chunk(EXIF), XMP, TEXT, CHANGED]
    assert taken(files.png_with(*chunks)) == Taken("2001-01-02T03:04:05", "exif")
    chunks[0] = exif_chunk(GPS)
    assert taken(files.png_with(*chunks)) == Taken("2002-01-02T03:04:05", "xmp")
    chunks.remove(XMP)
    assert taken(files.png_with(*chunks)) == Taken("2003-01-02T03:04:05", "png")
    chunks.remove(TEXT)
    assert taken(files.png_with(*chunks)) == Taken("2004-01-02T11:04:05", "gps")
    assert taken(files.png_with(CHANGED)) == Taken("2005-01-02T11:04:05", "modified")
    assert taken(files.png_with()) is None


def test_xmp_is_parsed_only_without_an_exif_date(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("not needed")

    monkeypatch.setattr("clipsight.indexing.media.xmp.xmp_date", fail)
    assert taken(files.png_with(exif_chunk(EXIF), XMP)) == Taken("2001-01-02T03:04:05", "exif")
    with pytest.raises(AssertionError):
        taken(files.png_with(XMP))


TAKEOUT = b'{"photoTakenTime": {"timestamp": "1557656100"}, "geoData": {"latitude": 1.5, "longitude": 2.5}}'


def test_the_order_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(TAKEOUT)
    (tmp_path / "a.xmp").write_bytes(packet('xmp:CreateDate="2002-01-02T03:04:05"'))
    (tmp_path / "b.xmp").write_bytes(packet('xmp:CreateDate="1980-01-01T00:00:00"'))
    (tmp_path / "bad.json").write_bytes(b"{")

    def beside(name: str, *sidecars: str) -> Beside:
        return read_beside(os.fsencode(tmp_path), os.fsencode(name), [os.fsencode(each) for each in sidecars])

    named, exported = Taken("2019-05-12T10:15:00", "name"), datetime.fromtimestamp(1_557_656_100).isoformat()
    assert beside("20190512_101500.jpg", "a.xmp", "a.json").taken == Taken("2002-01-02T03:04:05", "sidecar")
    assert beside("20190512_101500.jpg", "b.xmp", "a.xmp").taken == Taken("2002-01-02T03:04:05", "sidecar")
    assert beside("20190512_101500.jpg", "b.xmp", "a.json") == Beside(named, 1.5, 2.5)
    assert beside("a.jpg", "b.xmp", "a.json") == Beside(Taken(exported, "takeout"), 1.5, 2.5)
    assert beside("a.jpg", "b.xmp", "bad.json", "none.json") == Beside()
    assert beside("a.jpg") == Beside()


ORDER = ("exif", "xmp", "png", "gps", "sidecar", "name", "takeout", "modified", "mtime")


@pytest.mark.parametrize("known", [*ORDER, None, "of a later version"])
@pytest.mark.parametrize("source", ["sidecar", "name", "takeout"])
def test_a_date_beside_the_file_counts_if_its_source_is_as_good(known: str | None, source: str) -> None:
    info = PhotoInfo(taken="2001-01-02T03:04:05", taken_source=known)
    found = with_beside(info, Beside(Taken("2002-01-02T03:04:05", source)), gps=False)
    counts = known not in ORDER or ORDER.index(source) <= ORDER.index(known)
    expected = ("2002-01-02T03:04:05", source) if counts else ("2001-01-02T03:04:05", known)
    assert (found.taken, found.taken_source) == expected


def test_a_position_beside_the_file() -> None:
    beside = Beside(None, 1.5, 2.5)
    nowhere, somewhere = PhotoInfo(), PhotoInfo(latitude=3.0, longitude=4.0)
    assert with_beside(nowhere, beside, gps=True) == PhotoInfo(latitude=1.5, longitude=2.5)
    assert with_beside(nowhere, beside, gps=False) == nowhere
    assert with_beside(somewhere, beside, gps=True) == somewhere


@pytest.mark.parametrize("source", ORDER)
def test_dates_without_what_was_beside(source: str) -> None:
    info = PhotoInfo(taken="2001-01-02T03:04:05", taken_source=source, camera="X")
    mtime = taken_at_mtime(10**18)
    again = replace(info, taken=mtime.date, taken_source="mtime")
    assert without_beside(info, 10**18) == (again if source in ("sidecar", "name", "takeout") else info)


def test_metadata_that_nothing_beside_can_add_to() -> None:
    for source in ORDER:
        info = PhotoInfo(taken="2001-01-02T03:04:05", taken_source=source)
        assert is_complete(info, gps=False) == (source in ("exif", "xmp", "png", "gps"))
        assert not is_complete(info, gps=True)
        assert is_complete(replace(info, latitude=1.5), gps=True) == is_complete(info, gps=False)
    assert not is_complete(PhotoInfo(), gps=False)


@pytest.mark.parametrize("mtime_ns", [0, -1, -(2**63), 2**63 - 1, 10**30])
def test_any_modification_time_is_a_date(mtime_ns: int) -> None:
    datetime.fromisoformat(taken_at_mtime(mtime_ns).date)


def test_modification_times() -> None:
    expected = datetime.fromtimestamp(1_600_000_000).isoformat()
    assert taken_at_mtime(1_600_000_000_123_456_789) == Taken(expected, "mtime")
    assert taken_at_mtime(10**30) == taken_at_mtime(0)
