"""Raw files of cameras, by DNG files made by hand."""

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.formats import sniff
from clipsight.indexing.media.photo import decode
from clipsight.indexing.media.raw import MIN_PREVIEW, is_cut_short, is_raw_tiff
from tests.support.properties import examples
from tests.support.raw_files import dng

COLOURS = np.zeros((80, 120, 3), np.float32)
COLOURS[:40, :60], COLOURS[:40, 60:], COLOURS[40:, :60] = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)
ORANGE = Image.new("RGB", (MIN_PREVIEW, 600), (240, 160, 20))


def dominant(image: Image.Image) -> str:
    """The strongest colour of each corner, clockwise from the upper left; "-" where none is."""
    pixels = np.asarray(image, int)
    corners = [pixels[4, 4], pixels[4, -5], pixels[-5, -5], pixels[-5, 4]]
    return "".join("RGB"[int(np.argmax(each))] if np.ptp(each) > 100 else "-" for each in corners)


def test_the_sensor_is_decoded_at_half_size_and_its_metadata_are_read() -> None:
    pytest.importorskip("rawpy")
    photo = decode(dng(COLOURS), mtime_ns=0)
    assert photo.image.size == (60, 40) and photo.image.mode == "RGB"
    assert dominant(photo.image) == "RG-B"
    info = photo.info
    assert (info.format, info.width, info.height, info.orientation) == ("RAW", 120, 80, 1)
    assert (info.taken, info.taken_source) == ("2024-05-06T07:08:09", "exif")
    assert (info.camera, info.partial) == ("Maker Model 1", None)


@pytest.mark.parametrize(("orientation", "seen"), [(1, "RG-B"), (3, "-BRG"), (6, "BRG-"), (8, "G-BR")])
def test_the_photo_is_turned_upright(orientation: int, seen: str) -> None:
    pytest.importorskip("rawpy")
    photo = decode(dng(COLOURS, orientation=orientation), mtime_ns=0)
    assert dominant(photo.image) == seen
    size = (120, 80) if orientation < 5 else (80, 120)
    assert (photo.info.width, photo.info.height, photo.info.orientation) == (*size, orientation)


def test_a_large_preview_stands_for_the_photo() -> None:
    pytest.importorskip("rawpy")
    photo = decode(dng(COLOURS, preview=ORANGE, orientation=6), mtime_ns=0)
    assert photo.image.size == (600, MIN_PREVIEW)
    assert np.abs(np.asarray(photo.image, int) - (240, 160, 20)).max() < 10
    assert (photo.info.width, photo.info.height) == (80, 120)  # of the sensor
    assert photo.info.taken == "2024-05-06T07:08:09"


def test_a_small_preview_does_not() -> None:
    pytest.importorskip("rawpy")
    photo = decode(dng(COLOURS, preview=ORANGE.resize((MIN_PREVIEW - 1, 600))), mtime_ns=0)
    assert photo.image.size == (60, 40) and dominant(photo.image) == "RG-B"


def test_a_damaged_preview_does_not() -> None:
    pytest.importorskip("rawpy")
    file = dng(COLOURS, preview=ORANGE)
    start, end = file.index(b"\xff\xd8\xff"), file.index(b"\xff\xd9")
    damaged = file[:start] + bytes(end - start) + file[end:]
    assert decode(damaged, mtime_ns=0).image.size == (60, 40)


def test_the_limit_is_on_the_sensor() -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(PhotoError, match="too large: 120 x 80"):
        decode(dng(COLOURS, preview=ORANGE), mtime_ns=0, max_pixels=120 * 80 - 1)
    decode(dng(COLOURS), mtime_ns=0, max_pixels=120 * 80)


def test_a_file_that_is_cut_short_is_refused() -> None:
    pytest.importorskip("rawpy")
    file = bytearray(dng(COLOURS))
    entry = file.index(struct.pack("<HHII", 273, 4, 1, 8))  # the pixels, said to be at the end of the file
    struct.pack_into("<I", file, entry + 8, len(file) - 100)
    assert is_cut_short(io.BytesIO(file)) and not is_cut_short(io.BytesIO(dng(COLOURS)))
    with pytest.raises(PhotoError, match="truncated RAW"):
        decode(bytes(file), mtime_ns=0)
    with pytest.raises(PhotoError, match="truncated"):
        decode(dng(COLOURS)[:1000], mtime_ns=0)


def test_without_the_extra_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for content in (dng(COLOURS), b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"):
        with pytest.raises(PhotoError, match=r"raw files need rawpy: pip install '\.\[raw\]'"):
            decode(content, mtime_ns=0)


@pytest.mark.parametrize(
    "head",
    [
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"MMOR\0\0\0\x08",
        b"FUJIFILMCCD-RAW 0201FF",
        b"FOVb\0\0\2\0",
        b"\0MRM\0\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"II*\0\x10\0\0\0CR\2\0",
        b"II*\0\x08\0\0\0IIII",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
)
def test_formats_are_recognised_by_their_first_bytes(head: bytes) -> None:
    assert sniff(io.BytesIO(head + b"\0" * 100)) == ("RAW",)


def test_a_tiff_file_is_none() -> None:
    file = io.BytesIO()
    Image.new("RGB", (5, 5)).save(file, "TIFF")
    assert not is_raw_tiff(file) and not is_cut_short(file)
    assert sniff(io.BytesIO(file.getvalue())) == ("TIFF",)
    assert is_raw_tiff(io.BytesIO(dng(COLOURS)))
    assert is_raw_tiff(io.BytesIO(dng(COLOURS, preview=ORANGE)))


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*"]))
@examples(100)
def test_any_bytes_are_read_without_an_error(content: bytes, magic: bytes) -> None:
    file = io.BytesIO(magic + content)
    assert is_raw_tiff(file) in (True, False)
    assert is_cut_short(file) in (True, False)


@given(st.data())
@examples(50)
def test_damage_is_a_photo_error_or_a_picture(data: st.DataObject) -> None:
    pytest.importorskip("rawpy")
    file = bytearray(dng(COLOURS[:32, :32]))
    (first,) = struct.unpack_from("<I", file, 4)
    for _ in range(3):
        file[data.draw(st.integers(first, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        photo = decode(bytes(file), mtime_ns=0, max_pixels=10_000)
    except PhotoError as error:
        assert "\n" not in str(error)
    else:
        assert photo.image.mode == "RGB"


@pytest.mark.parametrize("name", ["IMG_1.JPG", "IMG_1.heic", "IMG_1.Jpeg"])
def test_a_raw_file_beside_its_jpeg_is_one_photo(name: str, tmp_path: Path) -> None:
    from clipsight.indexing.scan import photos_in

    for each in ("IMG_1.DNG", "IMG_1.cr2", name, "IMG_2.nef", "IMG_10.dng", "notes.png", "notes.dng"):
        (tmp_path / each).touch()
    (tmp_path / "jpeg").mkdir()
    (tmp_path / "jpeg" / "IMG_2.JPG").touch()
    found = sorted(str(file.relative_to(tmp_path)) for file in photos_in(tmp_path))
    assert found == sorted([name, "IMG_10.dng", "IMG_2.nef", "jpeg/IMG_2.JPG", "notes.dng", "notes.png"])
