"""Colours that a file gives by code points (ITU-T H.273) and not by a profile: Display P3."""

import struct
from functools import lru_cache
from typing import IO

from PIL import Image

from clipsight.indexing.media import heif, png_chunks

_P3 = 12
_CURVES = (1, 2, 6, 13)
"""sRGB, unspecified, and those that viewers take for sRGB's. PQ (16) and HLG (18) are left as they are."""

_COLORANTS = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
"""Primaries of Display P3, adapted to D50."""


def profile_of(picture: Image.Image, file: IO[bytes]) -> bytes | None:
    """An ICC profile of the colours of an AVIF, HEIF or PNG, if its code points say Display P3."""
    if picture.format not in ("AVIF", "HEIF", "PNG"):
        return None
    file.seek(0)
    data = file.read()
    codes = _of_png(data) if picture.format == "PNG" else heif.code_points(data)
    return display_p3() if codes and codes[0] == _P3 and codes[1] in _CURVES else None


def _of_png(data: bytes) -> tuple[int, int] | None:
    for kind, body, is_right in png_chunks.split(data, before=b"IDAT"):
        if kind == b"cICP" and is_right and len(body) == 4:
            return body[0], body[1]
    return None


@lru_cache(maxsize=1)
def display_p3() -> bytes:
    """Little CMS' profile of sRGB with the colorants of Display P3 (ICC.1:2022, 10.31)."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag, xyz in _COLORANTS.items():
        (at,) = struct.unpack_from(">I", profile, profile.index(tag) + 4)
        struct.pack_into(">3i", profile, at + 8, *(round(value * 65536) for value in xyz))
    return bytes(profile)
