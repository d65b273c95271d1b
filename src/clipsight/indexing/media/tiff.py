"""TIFF layouts that Pillow misreads without an error: mended where its values allow it, else refused."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.core.errors import PhotoError

BITS, PHOTOMETRIC = 0x0102, 0x0106
"""Tags of TIFF 6.0 that change the meaning of grey values."""
WHITE_IS_ZERO = 0
"""Value of `PHOTOMETRIC`."""

_COMPRESSION, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 0x0103, 0x0115, 0x011C, 0x0153
_UNCOMPRESSED, _SEPARATE = 1, 2
_UNSIGNED, _SIGNED = 1, 2

Values = npt.NDArray[Any]


def check_layout(picture: Image.Image) -> None:
    """Raise PhotoError for samples in planes that Pillow (12.3 at least) reads into the wrong places."""
    tags = _tags(picture)
    if tags.get(_PLANES) != _SEPARATE or tags.get(_SAMPLES, 1) == 1:
        return
    bits = max(tags.get(BITS, (1,)))
    if bits > 8 and tags.get(_COMPRESSION) == _UNCOMPRESSED:
        raise PhotoError(f"unsupported TIFF: planes of {bits} bits a sample without compression")
    if picture.mode == "LA":
        raise PhotoError("unsupported TIFF: grey and transparency in planes")


def correction(picture: Image.Image) -> Callable[[Values], Values] | None:
    """Function from grey values as Pillow reads them to the true ones; None if they are read right.

    Pillow (12.3 at least) reads signed 8-bit values as unsigned and unsigned 32-bit values as signed, and it
    swaps the bytes of compressed values of the other byte order, which libtiff has swapped already.
    """
    tags = _tags(picture)
    bits = tags.get(BITS, (0,))[0]
    format_ = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
    if picture.mode == "L" and bits == 8 and format_ == _SIGNED:
        return lambda values: values ^ 0x80
    if picture.mode == "I" and bits == 32 and format_ == _UNSIGNED:
        return lambda values: values.view(np.uint32)
    if picture.mode in ("I", "F") and tags.get(_COMPRESSION, 1) != _UNCOMPRESSED and _is_foreign(tags):
        return lambda values: (values.astype(np.int16) if bits == 16 else values).byteswap()
    return None


def integer_range(picture: Image.Image) -> tuple[int, int] | None:
    """Lowest and highest value of the integer type of a TIFF in mode I; None for other pictures."""
    tags = _tags(picture)
    if picture.mode != "I" or not tags:
        return None
    bits = tags.get(BITS, (32,))[0]
    signed = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _SIGNED
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _tags(picture: Image.Image) -> Any:
    return getattr(picture, "tag_v2", {}) if picture.format == "TIFF" else {}


def _is_foreign(tags: Any) -> bool:
    return bool(tags.prefix == (b"MM" if sys.byteorder == "little" else b"II"))
