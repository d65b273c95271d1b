"""JPEGs without metadata: the pixels are unchanged, and no metadata is left."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from clipsight.web.service.jpeg import strip_metadata
from tests.support import photo_files

_GPS, _MAKE, _ORIENTATION = 0x8825, 0x010F, 0x0112


def _picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((300, 200))


def _jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    _picture().save(out, "JPEG", **options)
    return out.getvalue()


def _full_exif(orientation: int = 1) -> bytes:
    place = {1: "N", 2: (47.0, 22.0, 8.0), 3: "E", 4: (8.0, 32.0, 0.0)}
    return photo_files.exif({_MAKE: "SecretCamera", _ORIENTATION: orientation}, gps=place)


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"quality": 100}]
)
def test_pixels_stay_and_metadata_goes(options: dict[str, object]) -> None:
    plain = _jpeg(exif=_full_exif(), comment=b"secret comment", **options)
    xmp = _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<secret GPSLatitude/>")
    iptc = _segment(0xED, b"Photoshop 3.0\x008BIM secret city")
    further = _segment(0xE2, b"MPF\0secret second picture")
    with_metadata = plain[:2] + xmp + iptc + further + plain[2:] + b"secret video behind the end" + plain

    cleaned = strip_metadata(with_metadata)

    assert cleaned is not None
    assert np.array_equal(_pixels(cleaned), _pixels(plain))
    assert b"secret" not in cleaned.lower() and b"Exif" not in cleaned
    with Image.open(io.BytesIO(cleaned)) as picture:
        assert not picture.getexif() and "comment" not in picture.info


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_stays_and_nothing_else_of_exif(orientation: int) -> None:
    cleaned = strip_metadata(_jpeg(exif=_full_exif(orientation)))
    assert cleaned is not None
    with Image.open(io.BytesIO(cleaned)) as picture:
        assert dict(picture.getexif()) == ({} if orientation == 1 else {_ORIENTATION: orientation})
        assert not picture.getexif().get_ifd(_GPS)


def test_the_colour_profile_stays() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cleaned = strip_metadata(_jpeg(icc_profile=profile, exif=_full_exif()))
    assert cleaned is not None
    with Image.open(io.BytesIO(cleaned)) as picture:
        assert picture.info["icc_profile"] == profile


def test_cmyk_keeps_its_colours() -> None:
    out = io.BytesIO()
    _picture().convert("CMYK").save(out, "JPEG")
    cleaned = strip_metadata(out.getvalue())
    assert cleaned is not None
    assert np.array_equal(_pixels(cleaned), _pixels(out.getvalue()))


@pytest.mark.slow
def test_truncated_jpegs_are_refused() -> None:
    whole = _jpeg()
    assert strip_metadata(b"") is None
    assert strip_metadata(b"\x89PNG\r\n\x1a\n") is None
    assert all(strip_metadata(whole[:end]) is None for end in range(0, len(whole) - 1, 7))
    assert strip_metadata(whole[:2] + b"junk" + whole[2:]) is None


@pytest.mark.slow
@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 255))
def test_no_input_raises(tail: bytes, place: int, value: int) -> None:
    whole = bytearray(_jpeg())
    whole[place % len(whole)] = value
    for data in (b"\xff\xd8" + tail, bytes(whole), bytes(whole[: place % len(whole)]) + tail):
        cleaned = strip_metadata(data)
        assert cleaned is None or (cleaned.startswith(b"\xff\xd8") and cleaned.endswith(b"\xff\xd9"))
