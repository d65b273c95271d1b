"""Layouts of TIFF against tifffile, which scikit-image brings."""

import io
import itertools
from typing import Any

import numpy as np
import pytest

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.photo import decode

tifffile = pytest.importorskip("tifffile")

ROWS, COLUMNS = np.mgrid[0:64, 0:96]
PICTURE = np.stack([COLUMNS / 95, ROWS / 63, (COLUMNS + ROWS) / 158], axis=-1) * 0.9 + 0.05
"""Floats from 0.05 to 0.95: what is stretched from minimum to maximum though it has a range differs by 6."""

LAYOUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "grey": (PICTURE[..., :1], {"photometric": "minisblack"}),
    "grey and alpha": (
        np.concatenate([PICTURE[..., :1], np.ones((64, 96, 1))], -1),
        {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
    ),
    "RGB": (PICTURE, {"photometric": "rgb"}),
    "RGBA": (
        np.concatenate([PICTURE, np.ones((64, 96, 1))], -1),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "CMYK": (np.concatenate([1 - PICTURE, np.zeros((64, 96, 1))], -1), {"photometric": "separated"}),
}


def stored(picture: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """The values of `picture` over the whole range of an integer type; as they are in a float type."""
    if np.dtype(dtype).kind == "f":
        return picture.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.round(picture * (float(high) - low) + low).clip(low, high).astype(dtype)


def tiff(layout: str, dtype: str, **options: Any) -> bytes:
    picture, kind = LAYOUTS[layout]
    values = stored(picture, dtype)
    if layout == "grey":
        values = values[..., 0]
    else:
        kind = {**kind, "planarconfig": options["planarconfig"]}
        if options["planarconfig"] == "separate":
            values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    file = io.BytesIO()
    tifffile.imwrite(file, values, **{**options, **kind})
    return file.getvalue()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_pixels_are_right_or_refused(layout: str, dtype: str) -> None:
    expected = np.repeat(PICTURE[..., :1], 3, -1) if layout.startswith("grey") else PICTURE
    for planes, order, compression, tile in itertools.product(
        ("contig", "separate"), "<>", (None, "zlib", "lzw"), (None, (32, 32))
    ):
        try:
            file = tiff(
                layout, dtype, planarconfig=planes, byteorder=order, compression=compression, tile=tile
            )
        except (KeyError, ValueError):  # LZW needs imagecodecs
            continue
        try:
            image = decode(file, mtime_ns=0).image
        except PhotoError:
            continue
        assert np.abs(np.asarray(image) - expected * 255).mean() < 2, (planes, order, compression, tile)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
def test_grey_of_this_machines_byte_order_is_read(dtype: str) -> None:
    image = decode(tiff("grey", dtype, byteorder="="), mtime_ns=0).image
    assert np.abs(np.asarray(image)[..., 0] - PICTURE[..., 0] * 255).mean() < 2


def test_heights_are_stretched() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.array([[-100, 900, 1900]], np.int16))
    assert np.asarray(decode(file.getvalue(), mtime_ns=0).image)[0, :, 0].tolist() == [0, 128, 255]


def test_deep_planes_are_refused_with_the_reason() -> None:
    with pytest.raises(PhotoError, match="unsupported TIFF: planes of 16 bits"):
        decode(tiff("RGB", "u2", planarconfig="separate"), mtime_ns=0)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    file = tiff("grey", "f4", byteorder="<")
    whole = np.asarray(decode(file, mtime_ns=0).image)
    monkeypatch.setattr("clipsight.indexing.media.pixels._STRIP_PIXELS", 96 * 7)
    assert np.array_equal(np.asarray(decode(file, mtime_ns=0).image), whole)
