"""Dates of photos through indexing: from names and files beside them, and when these change alone."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from clipsight import Library
from clipsight.store.filters import Filters
from clipsight.store.records import PhotoInfo
from tests.indexing.media.test_xmp import packet
from tests.support import photo_files as files

MTIME = 1_600_000_000
NAMED, EXPORTED = "2019-05-12T10:15:00", "2017-07-14T02:40:00"

pytestmark = pytest.mark.usefixtures("utc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def write(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    os.utime(file, (MTIME, MTIME))
    return file


def photo(file: Path, colour: str = "red", exif: bytes = b"") -> Path:
    return write(file, files.encode("JPEG", Image.new("RGB", (8, 8), colour), exif=exif))


def takeout(file: Path, seconds: int = 1_500_000_000) -> Path:
    place = {"latitude": 48.5, "longitude": 11.5}
    return write(file, json.dumps({"photoTakenTime": {"timestamp": str(seconds)}, "geoData": place}).encode())


def info(library: Library, file: Path) -> PhotoInfo:
    photo_id = library._connection.catalog.photo_id_at(os.fsencode(file))
    assert photo_id is not None
    return library._connection.catalog.photo_info(photo_id)


def date(library: Library, file: Path) -> str:
    found = info(library, file)
    return f"{found.taken} {found.taken_source}"


def test_the_first_source_counts(library: Library, folder: Path) -> None:
    exif = files.exif({}, {0x9003: "2001:02:03 04:05:06"})
    shot = photo(folder / "20190512_101500.jpg", "red", exif)
    named = photo(folder / "IMG_20190512_101500.jpg", "green")
    described = photo(folder / "20190512_101500(1).jpg", "blue")
    exported = photo(folder / "beach.jpg", "white")
    plain = photo(folder / "plain.jpg", "black")
    for each in (shot, named, exported):
        takeout(folder / f"{each.name}.supplemental-metadata.json")
    write(folder / "20190512_101500(1).xmp", packet('xmp:CreateDate="2002-03-04T05:06:07"'))
    library.index(folder)
    assert date(library, shot) == "2001-02-03T04:05:06 exif"
    assert date(library, named) == f"{NAMED} name"
    assert date(library, described) == "2002-03-04T05:06:07 sidecar"
    assert date(library, exported) == f"{EXPORTED} takeout"
    assert date(library, plain) == "2020-09-13T12:26:40 mtime"
    assert [
        match.path.name for match in library.search("x", filters=Filters(after="2017", before="2018"))
    ] == ["beach.jpg"]


def test_positions_of_takeout_only_if_positions_are_kept(library: Library, folder: Path) -> None:
    gps = files.exif({}, {}, {1: "N", 2: (1.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)})
    without, own = photo(folder / "a.jpg"), photo(folder / "b.jpg", "blue", gps)
    for each in (without, own):
        takeout(folder / f"{each.name}.json")
    library.index(folder)
    assert info(library, without).latitude is None
    library.forget(folder)
    library.index(folder, gps=True)
    assert (info(library, without).latitude, info(library, without).longitude) == (48.5, 11.5)
    assert (info(library, own).latitude, info(library, own).longitude) == (1.0, 2.0)


def test_a_sidecar_that_changes_alone(library: Library, folder: Path) -> None:
    plain = photo(folder / "plain.jpg")
    photo(folder / "other.jpg", "blue")
    library.index(folder)
    for seconds, expected in (
        (1_500_000_000, f"{EXPORTED} takeout"),
        (1_400_000_000, "2014-05-13T16:53:20 takeout"),
    ):
        sidecar = takeout(folder / "plain.jpg.json", seconds)
        os.utime(sidecar, (seconds, seconds))
        (report,) = library.index(folder)
        assert (report.known_content, report.unchanged, report.embedded) == (1, 1, 0)
        assert date(library, plain) == expected
        (report,) = library.index(folder)
        assert (report.known_content, report.unchanged) == (0, 2)
    sidecar.unlink()
    library.index(folder)
    assert date(library, plain) == "2020-09-13T12:26:40 mtime"


def test_a_sidecar_without_meaning_for_the_date_costs_nothing(library: Library, folder: Path) -> None:
    shot = photo(folder / "shot.jpg", exif=files.exif({}, {0x9003: "2001:02:03 04:05:06"}))
    library.index(folder)
    takeout(folder / "shot.jpg.json")
    takeout(folder / "metadata.json")
    (report,) = library.index(folder)
    assert (report.known_content, report.unchanged) == (0, 1)
    assert date(library, shot) == "2001-02-03T04:05:06 exif"


def test_photos_of_earlier_versions_are_as_they_were(library: Library, folder: Path) -> None:
    plain = photo(folder / "plain.jpg")
    library.index(folder)
    with library._connection.catalog.transaction():
        library._connection.catalog._db.run("UPDATE photos SET sidecar_stamp = NULL")
    takeout(folder / "plain.jpg.json")
    (report,) = library.index(folder)
    assert (report.unchanged, date(library, plain)) == (1, "2020-09-13T12:26:40 mtime")
    os.utime(plain, (MTIME + 1, MTIME + 1))
    (report,) = library.index(folder)
    assert (report.known_content, date(library, plain)) == (1, f"{EXPORTED} takeout")


def test_renamed_photos(library: Library, folder: Path) -> None:
    plain = photo(folder / "plain.jpg")
    library.index(folder)
    named = plain.rename(folder / "IMG_20190512_101500.jpg")
    (report,) = library.index(folder)
    assert (report.known_content, date(library, named)) == (1, f"{NAMED} name")
    again = named.rename(folder / "beach.jpg")
    library.index(folder)
    assert date(library, again) == f"{NAMED} name"  # the photo is the same, and no better date is known
    other = again.rename(folder / "2018-01-02.jpg")
    library.index(folder)
    assert date(library, other) == "2018-01-02T00:00:00 name"


def test_copies(library: Library, folder: Path) -> None:
    plain = photo(folder / "plain.jpg")
    library.index(folder)
    named, unnamed = folder / "IMG_20190512_101500.jpg", folder / "copy.jpg"
    shutil.copyfile(plain, named)
    shutil.copyfile(plain, unnamed)
    (report,) = library.index(folder)
    assert report.known_content == 2
    assert date(library, named) == f"{NAMED} name"
    assert date(library, unnamed) in (f"{NAMED} name", "2020-09-13T12:26:40 mtime")  # of one with its content
    assert date(library, plain) == "2020-09-13T12:26:40 mtime"


def test_names_in_any_bytes(library: Library, folder: Path) -> None:
    file = os.fsencode(folder) + b"/\xff 2019-05-12 10.15.00.jpg"
    photo(folder / "x.jpg").rename(os.fsdecode(file))
    library.index(folder)
    assert date(library, Path(os.fsdecode(file))) == f"{NAMED} name"
