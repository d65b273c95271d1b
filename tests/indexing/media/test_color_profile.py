"""Embedded ICC profiles. The profiles of these tests are Little CMS' sRGB, edited."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from clipsight.indexing.media.color_profile import to_srgb
from clipsight.indexing.media.photo import decode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def red_is_green() -> bytes:
    """The profile of a device whose first channel is sRGB's green, and whose second is its red."""
    return SRGB.replace(b"rXYZ", b"temp").replace(b"gXYZ", b"rXYZ").replace(b"temp", b"gXYZ")


def linear_grey() -> bytes:
    profile = bytearray(SRGB.replace(b"rTRC", b"kTRC"))
    profile[16:20] = b"GRAY"
    at = profile.rindex(b"para")
    profile[at + 8 : at + 10] = bytes(2)  # the curve Y = X ** gamma
    struct.pack_into(">i", profile, at + 12, 1 << 16)
    return bytes(profile)


def decoded(image: Image.Image, format: str, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format, **options)
    return decode(file.getvalue(), mtime_ns=0).image


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_converted_to_srgb(format: str) -> None:
    image = decoded(Image.new("RGB", (16, 16), (255, 0, 0)), format, icc_profile=red_is_green())
    assert np.abs(np.asarray(image)[8, 8] - np.array([0.0, 255.0, 0.0])).max() < 8
    assert "icc_profile" not in image.info


def test_colours_beside_transparency_and_of_palettes_are_converted() -> None:
    layer = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    layer.putpixel((0, 0), (0, 0, 0, 0))
    image = decoded(layer, "PNG", icc_profile=red_is_green())
    assert (image.getpixel((0, 0)), image.getpixel((3, 3))) == ((255, 255, 255), (0, 255, 0))
    palette = Image.new("RGB", (4, 4), (255, 0, 0)).convert("P")
    assert decoded(palette, "PNG", icc_profile=red_is_green()).getpixel((0, 0)) == (0, 255, 0)


def test_grey_with_a_profile() -> None:
    """Half the light of white is 188 in sRGB."""
    grey = Image.new("L", (4, 4), 128)
    assert decoded(grey, "PNG", icc_profile=linear_grey()).getpixel((0, 0)) == (188, 188, 188)


@pytest.mark.parametrize(
    "profile",
    [b"", b"junk", red_is_green()[:200], SRGB, linear_grey(), bytes(500), SRGB[:16] + b"CMYK" + SRGB[20:]],
    ids=["none", "junk", "cut", "sRGB", "of grey", "zeros", "of CMYK"],
)
def test_a_profile_that_cannot_or_need_not_be_used_changes_nothing(profile: bytes) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    assert to_srgb(noise, profile) is noise
    assert np.array_equal(np.asarray(decoded(noise, "PNG", icc_profile=profile)), np.asarray(noise))
