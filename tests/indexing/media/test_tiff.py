"""Layouts of TIFF against tifffile, which scikit-image brings."""

import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.photo import decode, upright_rgb
from tests.support import photo_files as files

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


def shown(file: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(decode(file, mtime_ns=0, strict=True).image).astype(int)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_pixels_are_right(layout: str, dtype: str) -> None:
    expected = np.repeat(PICTURE[..., :1], 3, -1) if layout.startswith("grey") else PICTURE
    for planes, order, compression, tile in itertools.product(
        ("contig", "separate"), "<>", (None, "zlib"), (None, (32, 48))
    ):
        file = tiff(layout, dtype, planarconfig=planes, byteorder=order, compression=compression, tile=tile)
        difference = np.abs(shown(file) - expected * 255).mean()
        assert difference < 1.2, (planes, order, compression, tile)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_strips_of_any_height(bigtiff: bool, order: str, rows: int) -> None:
    for dtype, planes in (("u1", "separate"), ("u2", "separate"), ("f4", "contig")):
        options = {"planarconfig": planes, "byteorder": order, "bigtiff": bigtiff, "rowsperstrip": rows}
        assert np.abs(shown(tiff("RGB", dtype, **options)) - PICTURE * 255).mean() < 1.2


def predicted(values: np.ndarray[Any, Any], **options: Any) -> bytes:
    """A Deflate TIFF of one strip whose values are stored as differences, for which tifffile needs more."""
    is_float = values.dtype.kind == "f"
    file = io.BytesIO()
    tifffile.imwrite(file, values, compression="zlib", rowsperstrip=len(values), **options)
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        tags = opened.pages[0].tags
        place, size = tags[273].value[0], tags[279].value[0]
        stored = np.frombuffer(zlib.decompress(data[place : place + size]), values.dtype).reshape(
            values.shape
        )
        if is_float:
            big = stored.astype(stored.dtype.newbyteorder(">")).view(np.uint8)
            count = values.dtype.itemsize
            split = (
                big.reshape(len(values), -1, count).swapaxes(1, 2).reshape(len(values), -1, values.shape[-1])
            )
            differences = np.diff(split, axis=1, prepend=np.uint8(0))
        else:
            differences = np.diff(stored, axis=1, prepend=stored.dtype.type(0)).astype(stored.dtype)
        packed = zlib.compress(differences.tobytes())
        entry = tags[305].offset  # Software, which makes room for Predictor
    data += packed
    order = "<" if data[:2] == b"II" else ">"
    for tag, value in ((273, len(data) - len(packed)), (279, len(packed))):
        at = tags[tag].offset
        struct.pack_into(order + "HHII", data, at, tag, 4, 1, value)
    struct.pack_into(order + "HHIHH", data, entry, 317, 3, 1, 3 if is_float else 2, 0)
    return bytes(data)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["u2", "u4", "f4", "f8"])
def test_predictors(dtype: str, order: str) -> None:
    values = stored(PICTURE, dtype).astype(order + dtype)
    file = predicted(values, photometric="rgb", byteorder=order, software="x")
    assert np.abs(shown(file) - PICTURE * 255).mean() < 1.2


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_samples_that_are_no_whole_bytes(bits: int, photometric: int) -> None:
    values = np.random.default_rng(bits).integers(0, 1 << bits, (5, 13))
    rows = b""
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row)
        padded = digits.ljust(-(-len(digits) // 8) * 8, "0")
        rows += int(padded, 2).to_bytes(len(padded) // 8, "big")
    grey = np.round(values / ((1 << bits) - 1) * 255)
    found = shown(files.tiff_of(13, 5, bits=bits, rows=rows, photometric=photometric))[..., 0]
    assert np.abs(found - (grey if photometric else 255 - grey)).max() <= 1


def saved(values: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_palettes(dtype: str) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 65536, (3, 1 << 8 * np.dtype(dtype).itemsize), np.uint16)
    indices = random.integers(0, colours.shape[1], (20, 30)).astype(dtype)
    file = saved(indices, photometric="palette", colormap=colours)
    assert np.array_equal(shown(file), (colours >> 8).T[indices])


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("bits", [8, 16])
def test_cielab(photometric: str, bits: int, planes: str) -> None:
    picture = Image.fromarray(np.round(PICTURE * 255).astype(np.uint8))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(srgb, lab, "RGB", "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    values: np.ndarray[Any, Any] = np.asarray(to_lab.apply(picture)).astype(np.uint16)  # a, b with a sign
    if photometric == "icclab":
        values[..., 1:] ^= 0x80
    values = values << 8 if bits == 16 else values.astype(np.uint8)
    if planes == "separate":
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    file = saved(values, photometric=photometric, planarconfig=planes)
    assert np.abs(shown(file) - np.asarray(picture)).mean() < 1


def test_ycbcr_without_compression() -> None:
    picture = Image.fromarray(np.round(PICTURE * 255).astype(np.uint8))
    values = np.asarray(picture.convert("YCbCr"))
    file = saved(values, photometric="ycbcr", subsampling=(1, 1))
    assert np.abs(shown(file) - np.asarray(picture)).mean() < 2
    with pytest.raises(PhotoError, match="unsupported TIFF: YCbCr with subsampling"):
        shown(file.replace(struct.pack("<HHIHH", 530, 3, 2, 1, 1), struct.pack("<HHIHH", 530, 3, 2, 2, 2)))


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_samples_beyond_the_colours(dtype: str, kind: str, planes: str) -> None:
    colours = PICTURE / 2 if kind == "assocalpha" else PICTURE
    values = stored(np.concatenate([colours, np.full((64, 96, 1), 0.5)], -1), dtype)
    if planes == "separate":
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    found = shown(saved(values, photometric="rgb", extrasamples=[kind], planarconfig=planes))
    if kind == "unspecified":
        assert np.abs(found - PICTURE * 255).mean() < 1.5
    else:
        grounds = [np.abs(found - (PICTURE + ground) / 2 * 255).mean() for ground in (0, 0.5, 1)]
        assert min(grounds) < 1.5


def test_the_first_page_is_shown() -> None:
    values = stored(PICTURE, "u2")
    assert np.abs(shown(saved(np.stack([values, ~values]), photometric="rgb")) - PICTURE * 255).mean() < 1


def test_heights_are_stretched() -> None:
    assert shown(saved(np.array([[-100, 900, 1900]], np.int16)))[0, :, 0].tolist() == [0, 128, 255]


def test_one_range_for_all_channels() -> None:
    """Colours of different ranges keep their proportion."""
    values = np.array([[[0, 500, 1000], [1000, 500, 0]]], np.float32)
    assert shown(saved(values, photometric="rgb")).tolist() == [[[0, 128, 255], [255, 128, 0]]]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (files.with_tiff_tag(files.encode("TIFF"), 259, 34712), "unsupported TIFF: compression 34712"),
        (
            files.with_tiff_tag(files.encode("TIFF"), 262, 32844),
            "unsupported TIFF: photometric interpretation",
        ),
        (files.tiff_of(2, 1, bits=24, rows=bytes(6)), "unsupported TIFF: samples of 24 bits"),
        (files.encode("TIFF")[:4] + b"\xff\xff\xff\0" + bytes(100), "truncated TIFF"),
    ],
)
def test_reasons(file: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        decode(file, mtime_ns=0)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_what_is_there_of_a_cut_file(dtype: str, compression: str | None) -> None:
    file = saved(stored(PICTURE, dtype), photometric="rgb", compression=compression, rowsperstrip=8)
    cut = file[: len(file) * 3 // 4]
    photo = decode(cut, mtime_ns=0)
    assert photo.info.partial == "truncated TIFF: the file ends before its picture does"
    assert np.array_equal(np.asarray(photo.image)[:32], shown(file)[:32])
    with pytest.raises(PhotoError):
        shown(cut)


def test_what_can_be_decompressed_of_a_damaged_file(capfd: pytest.CaptureFixture[str]) -> None:
    file = bytearray(saved(stored(PICTURE, "u2"), photometric="rgb", compression="zlib", rowsperstrip=8))
    with tifffile.TiffFile(io.BytesIO(file)) as opened:
        place = opened.pages[0].tags[273].value[5]
    file[place + 10 : place + 20] = b"\xff" * 10
    photo = decode(bytes(file), mtime_ns=0)
    assert photo.info.partial == "damaged TIFF: some of its pixels can't be decompressed"
    assert capfd.readouterr().err == ""  # libtiff would write there


def test_wrong_sizes_of_strips_without_compression() -> None:
    file = saved(stored(PICTURE, "u2"), photometric="rgb")
    assert np.array_equal(shown(files.with_tiff_tag(file, 279, 5)), shown(file))


def test_pictures_that_a_caller_has_opened(tmp_path: Path) -> None:
    plain, deep = tiff("RGB", "u1", planarconfig="contig"), tiff("RGB", "u2", planarconfig="separate")
    for file in (plain, deep):
        with Image.open(io.BytesIO(file)) as picture:
            for _ in range(2):  # the second time, its pixels are loaded
                assert np.abs(np.asarray(upright_rgb(picture)) - PICTURE * 255).mean() < 1.2
                picture.load()
    (tmp_path / "deep.tif").write_bytes(deep)
    with Image.open(tmp_path / "deep.tif") as picture:
        picture.load()
    with pytest.raises(PhotoError, match="Pillow misreads this kind of TIFF: give the path of its file"):
        upright_rgb(picture)


def test_hostile_tiles() -> None:
    file = saved(np.zeros((32, 32), np.uint16), tile=(32, 32))
    for tag in (322, 323):
        file = files.with_tiff_tag(file, tag, 1 << 20)
    with pytest.raises(PhotoError, match="damaged TIFF: its tiles are much larger than the picture"):
        decode(file, mtime_ns=0)


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        ("grey", "f4", None, None),
        ("RGB", "u2", None, 5),
        ("RGB", "i2", "zlib", 3),
        ("RGB", "f4", None, 64),
    ]
    for layout, dtype, compression, rows in cases:
        options = {
            "byteorder": "<",
            "planarconfig": "contig",
            "compression": compression,
            "rowsperstrip": rows,
        }
        file = tiff(layout, dtype, **options)
        whole = shown(file)
        with monkeypatch.context() as patch:
            patch.setattr("clipsight.indexing.media.tiff_layout._BAND_BYTES", 3000)
            assert np.array_equal(shown(file), whole)
