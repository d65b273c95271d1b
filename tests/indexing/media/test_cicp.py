import struct
from typing import Any

import numpy as np
import pytest

from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files

TO_XYZ = {
    "P3": [[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]],
    "sRGB": [[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]],
}
"""IEC 61966-2-1 and SMPTE EG 432-1, to CIE XYZ with D65."""
COLOUR = (184, 88, 50)


def converted() -> "np.ndarray[Any, np.dtype[np.float64]]":
    """`COLOUR` of Display P3 in sRGB, by matrices."""
    value = np.array(COLOUR) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.linalg.solve(np.array(TO_XYZ["sRGB"]), np.array(TO_XYZ["P3"]) @ light)
    return np.asarray(255 * (1.055 * linear ** (1 / 2.4) - 0.055))


def png(*codes: int) -> bytes:
    from PIL import Image

    file = files.encode("PNG", Image.new("RGB", files.SIZE, COLOUR))
    chunk = files.png_with((b"cICP", bytes(codes)))
    at = chunk.index(b"cICP") - 4
    return file[:33] + chunk[at : at + 16] + file[33:]


@pytest.mark.parametrize("transfer", [1, 13])
def test_display_p3_by_code_points_is_converted(transfer: int) -> None:
    pixel = decode(png(12, transfer, 0, 1), mtime_ns=0).image.getpixel((5, 5))
    assert np.abs(np.array(pixel) - converted()).max() <= 2


@pytest.mark.parametrize("codes", [(1, 13, 0, 1), (9, 16, 0, 1), (12, 16, 0, 1), (2, 2, 0, 1)])
def test_other_code_points_change_nothing(codes: tuple[int, ...]) -> None:
    assert decode(png(*codes), mtime_ns=0).image.getpixel((5, 5)) == COLOUR


def test_a_heic_in_display_p3_is_converted() -> None:
    """Its primaries are overwritten in the property that it has."""
    file = bytearray(files.heic())
    at = file.find(b"nclx")
    if at < 0:
        pytest.skip("the sample has no code points")
    before = decode(bytes(file), mtime_ns=0).image.getpixel((5, 5))
    struct.pack_into(">HH", file, at + 4, 12, 13)
    assert decode(bytes(file), mtime_ns=0).image.getpixel((5, 5)) != before
