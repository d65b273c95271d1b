import io
import os
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
import tifffile
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageColor, ImageFile, ImageOps

from clipsight.core.arguments import DEFAULT_MAX_PIXELS
from clipsight.core.errors import PhotoError
from clipsight.indexing.media import photo as decode_module
from clipsight.indexing.media.exif import camera_name
from clipsight.indexing.media.photo import (
    DCT_MARGIN,
    DecodedPhoto,
    decode,
    open_picture,
)
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.models.registry import builtin_folder
from clipsight.store.records import PhotoInfo
from tests.support import photo_files as files
from tests.support.properties import examples
from tests.support.samples import package_folder

# Pillow warns of what is odd in odd files; `decode` silences it, but pytest listens all the same.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

MTIME = 1_600_000_000_123_456_789
MTIME_DATE = datetime.fromtimestamp(1_600_000_000).isoformat()


def photo(file: bytes, **options: Any) -> DecodedPhoto:
    return decode(file, mtime_ns=MTIME, **options)


def reason(file: bytes | Path, **options: Any) -> str:
    with pytest.raises(PhotoError) as caught:
        decode(file, mtime_ns=MTIME, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pixel(file: bytes, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    image = photo(file).image
    assert image.mode == "RGB"
    return image.getpixel(at)  # type: ignore[return-value]


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# Formats


@pytest.mark.parametrize("format", files.FORMATS)
def test_every_format(format: str, tmp_path: Path) -> None:
    data = files.encode(format)
    (tmp_path / "photo").write_bytes(data)
    for source in (data, tmp_path / "photo"):
        image, info = (decoded := decode(source, mtime_ns=MTIME)).image, decoded.info
        assert (image.mode, image.size, files.corners(image)) == ("RGB", files.SIZE, files.UPRIGHT)
        assert (info.width, info.height, info.format, info.orientation) == (*files.SIZE, format, 1)
        assert (info.latitude, info.longitude) == (None, None)


@pytest.mark.parametrize("format", files.FORMATS)
def test_the_image_is_not_the_readers_own(format: str) -> None:
    """pi-heif's image of a HEIC with several images decodes the file anew after `thumbnail()`."""
    assert type(photo(files.encode(format)).image) is Image.Image


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000"])
def test_lossless_formats_keep_every_pixel(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    decoded = photo(files.encode(format, Image.fromarray(noise)))
    assert np.array_equal(np.asarray(decoded.image), noise)


def test_without_min_side_a_jpeg_is_exact() -> None:
    file = files.encode("JPEG", files.quadrants((1600, 1200)))
    assert np.array_equal(np.asarray(photo(file).image), np.asarray(Image.open(io.BytesIO(file))))


def test_a_whole_description() -> None:
    block = files.exif(
        {0x010F: "FUJIFILM", 0x0110: "X100V", 0x0112: 6},
        {0x9003: "2021:03:04 05:06:07"},
        {1: "S", 2: (33.0, 51.0, 24.5), 3: "E", 4: (151.0, 12.0, 0.0)},
    )
    expected = PhotoInfo(
        48, 64, "JPEG", "2021-03-04T05:06:07", "exif", "FUJIFILM X100V", 6, -33.856806, 151.2
    )
    file = files.encode("JPEG", exif=block)
    assert photo(file, gps=True).info == expected
    assert (photo(file).info.latitude, photo(file).info.longitude) == (None, None)


def test_heic_metadata() -> None:
    info = photo(files.heic(6)).info
    assert (info.taken, info.taken_source, info.camera) == ("2021-03-04T05:06:07", "exif", "Maker Model X")


def test_only_the_first_frame_of_an_animation() -> None:
    red, blue = Image.new("RGB", files.SIZE, "red"), Image.new("RGB", files.SIZE, "blue")
    for format in ("GIF", "WEBP", "PNG", "AVIF", "TIFF"):
        file = saved(red, format, save_all=True, append_images=[blue] * 3)
        assert np.abs(np.subtract(pixel(file), (255, 0, 0))).max() < 8


def test_a_gif_cut_after_its_first_frame_is_whole_enough() -> None:
    red, blue = Image.new("RGB", files.SIZE, "red"), Image.new("RGB", files.SIZE, "blue")
    one, three = saved(red, "GIF"), saved(red, "GIF", save_all=True, append_images=[blue, red])
    assert pixel(three[: len(one) + 60]) == (255, 0, 0)


def test_a_multi_picture_jpeg_is_a_jpeg() -> None:
    """MPO, as phones write it: a JPEG with a further JPEG behind it."""
    large = files.quadrants((800, 600))
    file = saved(large, "MPO", save_all=True, append_images=[large.resize((80, 60))])
    assert Image.open(io.BytesIO(file)).format == "MPO"
    decoded = photo(file, min_side=40)
    assert decoded.info.format == "JPEG"
    assert (decoded.info.width, decoded.info.height, decoded.image.size) == (800, 600, (100, 75))
    assert files.corners(decoded.image) == files.UPRIGHT


def test_progressive_and_arithmetic_free_jpegs_scale_too() -> None:
    file = files.encode("JPEG", files.quadrants((800, 600)), progressive=True)
    assert photo(file, min_side=40).image.size == (100, 75)


@pytest.mark.parametrize(
    "name", ["PIL.EpsImagePlugin", "PIL.PdfImagePlugin", "PIL.PsdImagePlugin", "PIL.FitsImagePlugin"]
)
def test_other_formats_are_out_of_reach(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "init", lambda: pytest.fail("all of Pillow's plug-ins loaded"))
    heads = {
        "PIL.EpsImagePlugin": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "PIL.PdfImagePlugin": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "PIL.PsdImagePlugin": b"8BPS\0\1" + bytes(30),
        "PIL.FitsImagePlugin": b"SIMPLE  =                    T",
    }
    assert reason(heads[name]).startswith(("not an image: ", "unsupported format: Photoshop"))


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", files.TURNABLE)
def test_orientation_is_applied_once(format: str, orientation: int) -> None:
    decoded = photo(files.turned(format, orientation))
    assert files.corners(decoded.image) == (
        files.HEIC_CORNERS[orientation] if format == "HEIF" else files.UPRIGHT
    )
    assert decoded.info.orientation == orientation
    assert decoded.image.size == (decoded.info.width, decoded.info.height)
    stored_upright = format == "HEIF" and orientation >= 5
    assert decoded.image.size == (files.SIZE[::-1] if stored_upright else files.SIZE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_pillows(orientation: int) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8))
    file = saved(noise, "PNG", exif=files.exif({0x0112: orientation}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    assert np.array_equal(np.asarray(photo(file).image), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_scaled_jpeg(orientation: int) -> None:
    transposition = files.STORED[orientation]
    upright = files.quadrants((800, 600))
    stored = upright if transposition is None else upright.transpose(transposition)
    decoded = photo(files.encode("JPEG", stored, exif=files.exif({0x0112: orientation})), min_side=40)
    assert (decoded.image.size, files.corners(decoded.image)) == ((100, 75), files.UPRIGHT)
    assert (decoded.info.width, decoded.info.height) == (800, 600)


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_an_absurd_orientation_means_upright(format: str, value: int) -> None:
    decoded = photo(files.encode(format, exif=files.exif({0x0112: value})))
    assert (files.corners(decoded.image), decoded.info.orientation) == (files.UPRIGHT, 1)


def test_orientation_in_xmp_only() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    decoded = photo(files.encode("JPEG", files.quadrants().transpose(files.STORED[6]), xmp=xmp))  # type: ignore[arg-type]
    assert (files.corners(decoded.image), decoded.info.orientation) == (files.UPRIGHT, 6)


# Modes


def test_cmyk() -> None:
    cmyk = Image.merge("CMYK", [Image.new("L", files.SIZE, value) for value in (255, 0, 0, 0)])
    assert pixel(saved(cmyk, "TIFF")) == (0, 255, 255)
    inverted = saved(cmyk, "JPEG", quality=100)
    assert b"Adobe" in inverted
    assert np.abs(np.subtract(pixel(inverted), (0, 255, 255))).max() < 4


def test_ycck_as_photoshop_writes_it() -> None:
    assert files.corners(photo(files.adobe_ycck(files.quadrants())).image) == files.UPRIGHT
    large = files.adobe_ycck(files.quadrants((800, 600)))
    assert photo(large, min_side=40).image.size == (100, 75)


RAMP = np.arange(0, 65536, 257, np.uint16)[None].repeat(4, 0)  # type: ignore[call-overload]
EIGHT_BIT_RAMP = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG2000"])
def test_16_bit_grey_is_scaled_not_clipped(format: str) -> None:
    file = saved(Image.fromarray(RAMP), format)
    assert np.array_equal(np.asarray(photo(file).image)[0, :, 0], EIGHT_BIT_RAMP)


def test_16_bit_grey_pnm() -> None:
    file = b"P5 256 4 65535\n" + RAMP.astype(">u2").tobytes()
    assert np.array_equal(np.asarray(photo(file).image)[0, :, 1], EIGHT_BIT_RAMP)


def test_a_dark_16_bit_pnm_stays_dark() -> None:
    file = b"P5 256 4 65535\n" + (RAMP // 257).astype(">u2").tobytes()
    assert np.asarray(photo(file).image).max() == 1


def test_16_bit_rgb() -> None:
    colours = np.stack([RAMP, RAMP[:, ::-1], RAMP // 2], axis=-1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    png = files.png_of(256, 4, bits=16, colour_type=2, rows=rows)
    ppm = b"P6 256 4 65535\n" + colours.astype(">u2").tobytes()
    for file in (png, ppm):
        assert np.abs(np.asarray(photo(file).image).astype(int) - colours // 257).max() <= 1


def test_12_bit_tiff() -> None:
    """Two samples of 12 bits in three bytes, white first."""
    file = files.tiff_of(4, 1, bits=12, rows=bytes.fromhex("fff000 800fff"))
    assert np.asarray(photo(file).image)[0, :, 0].tolist() == [255, 0, 128, 255]


def test_white_is_zero_16_bit_tiff() -> None:
    file = files.tiff_of(2, 1, bits=16, rows=struct.pack("<2H", 0, 65535), photometric=0)
    assert np.asarray(photo(file).image)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.1, 0.2, 0.7], [26, 51, 178]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([0.0, 1000.0, 4000.0], [0, 64, 255]),
        ([float("nan"), 5.0, 10.0], [0, 0, 255]),
        ([float("inf"), 0.0, 2.0], [255, 0, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
        ([float("nan")] * 3, [0, 0, 0]),
    ],
)
def test_floats(values: list[float], expected: list[int]) -> None:
    file = saved(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert np.asarray(photo(file).image)[0, :, 0].tolist() == expected


def test_32_bit_integers() -> None:
    file = saved(Image.fromarray(np.array([[-1_000_000, 0, 1_000_000]], np.int32)), "TIFF")
    assert np.asarray(photo(file).image)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("colours", "background"),
    [
        (["white"], 0),
        (["#f0f0f0"], 0),
        (["#ffff80"], 0),
        (["black"], 255),
        (["red"], 255),
        (["grey"], 255),
        (["white", "black"], 128),
        ([], 255),
    ],
)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_has_a_background_that_shows_the_content(
    mode: str, colours: list[str], background: int
) -> None:
    image = Image.new("RGBA", (40, 10), (255, 255, 255, 0))
    for number, colour in enumerate(colours):
        image.paste((*ImageColor.getrgb(colour), 255), (10 + 10 * number, 2, 20 + 10 * number, 8))
    assert pixel(saved(image.convert(mode), "PNG")) == (background,) * 3


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_is_laid_on_white(format: str) -> None:
    image = Image.new("RGBA", files.SIZE, (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (32, 0, 64, 48))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    file = saved(image, format, **options)
    assert np.abs(np.subtract(pixel(file, (5, 5)), (255, 255, 255))).max() < 4
    assert np.abs(np.subtract(pixel(file, (60, 40)), (0, 0, 255))).max() < 8


def test_half_transparent_is_half_white() -> None:
    assert pixel(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")) == (127, 127, 127)
    assert pixel(saved(Image.new("LA", (4, 4), (0, 128)), "PNG")) == (127, 127, 127)


def test_palette_with_transparency() -> None:
    image = Image.new("P", files.SIZE, 1)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.paste(2, (32, 0, 64, 48))
    for format in ("PNG", "GIF"):
        assert pixel(saved(image, format)) == (255, 0, 0)
        file = saved(image, format, transparency=1)
        assert (pixel(file), pixel(file, (60, 0))) == ((255, 255, 255), (0, 255, 0))
    assert pixel(saved(image, "PNG", transparency=b"\xff\x80\xff")) == (255, 127, 127)


def test_one_transparent_colour() -> None:
    assert pixel(saved(Image.new("RGB", (4, 4), (1, 2, 3)), "PNG", transparency=(1, 2, 3))) == (255, 255, 255)
    assert pixel(saved(Image.new("L", (4, 4), 9), "PNG", transparency=9)) == (255, 255, 255)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_one_bit(format: str) -> None:
    image = Image.new("1", files.SIZE, 1)
    image.paste(0, (32, 0, 64, 48))
    file = saved(image, format)
    assert (pixel(file), pixel(file, (60, 0))) == ((255, 255, 255), (0, 0, 0))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "JPEG2000", "PPM", "WEBP"])
def test_grey(format: str) -> None:
    assert np.abs(np.subtract(pixel(saved(Image.new("L", files.SIZE, 77), format)), 77)).max() <= 1


def test_lab() -> None:
    red = Image.merge("LAB", [Image.new("L", (8, 8), value) for value in (138, 209, 198)])  # L 54, a 81, b 70
    assert np.abs(np.subtract(pixel(saved(red, "TIFF")), (255, 0, 0))).max() < 6


@pytest.mark.skipif(int(PIL.__version__.partition(".")[0]) < 13, reason="older Pillows can't read such files")
def test_ycbcr_tiff() -> None:
    file = saved(files.quadrants().convert("YCbCr"), "TIFF")
    assert files.corners(photo(file).image) == files.UPRIGHT


# DCT scaling


def test_min_side_reduces_jpegs_only_while_the_margin_holds() -> None:
    file = files.encode("JPEG", files.quadrants((1600, 1200)))
    for scale in (1, 2, 4, 8):
        most = int(1200 / scale / DCT_MARGIN)
        assert photo(file, min_side=most).image.size == (1600 // scale, 1200 // scale)
        above = photo(file, min_side=most + 1).image.size
        assert above == (1600, 1200) if scale == 1 else above == (1600 * 2 // scale, 1200 * 2 // scale)
    info = photo(file, min_side=40).info
    assert (info.width, info.height) == (1600, 1200)


def test_min_side_leaves_other_formats_alone() -> None:
    for format in files.FORMATS:
        if format != "JPEG":
            assert photo(files.encode(format), min_side=2).image.size == files.SIZE


@pytest.mark.parametrize("width", range(800, 808))
def test_a_scaled_jpeg_lies_where_the_exact_one_does(width: int) -> None:
    """A step near the right edge is where it is in the full decode, whatever the width leaves over."""
    step = 704
    image = Image.new("L", (width, 800), 50)
    image.paste(200, (step, 0, width, 800))
    reduced = photo(files.encode("JPEG", image), min_side=60).image
    assert reduced.size == (round(width / 8), 100)
    dark = ((200 - np.asarray(reduced)[50, :, 0].astype(float)) / 150).sum() / reduced.width
    assert abs(dark - step / width) * reduced.width < 0.05


@examples(200)
@given(width=st.integers(1, 70_000), height=st.integers(1, 70_000), side=st.integers(1, 600))
@pytest.mark.slow
def test_the_scale_is_the_largest_with_the_margin(width: int, height: int, side: int) -> None:
    scale = decode_module._dct_scale((width, height), side)
    assert scale == 1 or min(width, height) / scale >= DCT_MARGIN * side
    assert scale == 8 or min(width, height) / (2 * scale) < DCT_MARGIN * side


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png"])
@pytest.mark.slow
def test_the_embedding_of_a_scaled_jpeg_is_that_of_the_exact_one(name: str) -> None:
    """The promise of 0.995 on a few real photos; `benchmarks/dct_scale.py` measures it on many."""
    encoder = Encoder(ModelFolder.read(builtin_folder()), threads=1)
    side = max(encoder.input_size)
    original = Image.open(package_folder("skimage") / "data" / name).convert("RGB")
    short = int(DCT_MARGIN * side * 4) + 3  # just above the margin at 1/4, and not a multiple of 4
    factor = short / min(original.size)
    file = files.encode(
        "JPEG", original.resize((int(original.width * factor) + 1, int(original.height * factor) + 1))
    )
    exact, scaled = photo(file).image, photo(file, min_side=side).image
    assert scaled.width < exact.width / 3.9
    vectors = encoder.encode_images([exact, scaled])
    assert vectors[0] @ vectors[1] >= 0.995


# Limits


@pytest.mark.parametrize("format", files.FORMATS)
def test_too_many_pixels_are_refused_before_decoding(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = files.encode(format)
    assert photo(file, max_pixels=64 * 48).image.size == files.SIZE
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert reason(file, max_pixels=64 * 48 - 1).startswith("too large: 64 x 48 is ")


@pytest.mark.parametrize("format", files.FORMATS)
def test_bombs(format: str) -> None:
    file = files.bomb(format)
    assert len(file) < 10_000
    assert reason(file).startswith("too large: ")
    assert reason(file).endswith("megapixels, the limit is 250")
    assert reason(file, min_side=224).startswith("too large: ")


@pytest.mark.slow
def test_the_limit_admits_what_pillow_alone_would_refuse() -> None:
    file = bytearray(saved(Image.new("L", (64, 48)), "JPEG"))
    struct.pack_into(">HH", file, file.index(b"\xff\xc0") + 5, 12_240, 16_320)  # the largest phone photos
    assert 179_000_000 < 12_240 * 16_320 < DEFAULT_MAX_PIXELS
    with pytest.raises(PhotoError, match="truncated"):  # and not too large
        photo(bytes(file), min_side=224)


# Files that are no photos, or no longer


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not an image: the file is empty"),
        (b"hello, world\n", "not an image: the file is text"),
        ("grüße, world\n".encode(), "not an image: the file is text"),
        (bytes(5000), "not an image: the file holds zeros"),
        (b"\x7fELF\x02\x01\x01\0", "not an image: unknown content, begins with 7f 45 4c 46 02 01 01 00"),
        (
            b"\0\0\0\x18ftypmp42" + bytes(40),
            "not an image: unknown content, begins with 00 00 00 18 66 74 79 70",
        ),
        (b"\xff\xd8\xff", "truncated JPEG: the file ends before its picture does"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "truncated JPEG: the file ends before its picture does"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "damaged PNG: broken PNG file (chunk b'\\x00\\x00\\x00\\x00')"),
    ],
)
def test_what_is_no_image(content: bytes, expected: str) -> None:
    assert reason(content, min_side=224) == expected


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM"])
def test_truncated(format: str) -> None:
    file = files.encode(format)
    cut = file[: len(file) * 2 // 3]
    assert reason(cut, strict=True) == f"truncated {format}: the file ends before its picture does"


@pytest.mark.parametrize("format", files.FORMATS)
def test_cut_in_half(format: str) -> None:
    file = files.encode(format)
    assert format in reason(file[: len(file) // 2], strict=True)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    assert reason(tmp_path / "missing.jpg") == "can't be read: No such file or directory"
    assert reason(tmp_path) == "can't be read: not a file"
    assert reason(tmp_path / "fifo.jpg") == "can't be read: not a file"
    assert reason(Path("nul\0.jpg")) == "can't be read: embedded null byte"


def test_a_path_whose_name_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(files.encode("PNG"))
    assert decode(path, mtime_ns=MTIME).info.format == "PNG"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("libheif:\nfailed"), SyntaxError("broken"), EOFError()]
)
def test_whatever_a_reader_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert reason(files.encode("PNG")) in (
        "PNG too large for this machine's memory",
        "damaged PNG: libheif: failed",
        "damaged PNG: broken",
        "damaged PNG: its pixels can't be read",
    )


def test_an_interrupt_is_not_a_bad_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(KeyboardInterrupt):
        photo(files.encode("PNG"))


QUADRANTS = np.asarray(files.quadrants())


def tiff(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


SAMPLES = [files.encode(format) for format in files.FORMATS] + [
    files.turned("JPEG", 6),
    files.turned("TIFF", 6),
    files.turned("PNG", 6),
    files.adobe_ycck(files.quadrants()),
    saved(files.quadrants().quantize(4), "GIF", save_all=True, append_images=[files.quadrants()]),
    saved(files.quadrants(), "TIFF", compression="tiff_lzw"),
    saved(files.quadrants(), "TIFF", compression="jpeg"),
    saved(Image.fromarray(RAMP), "PNG"),
    saved(files.quadrants(), "JPEG", progressive=True),
    saved(files.quadrants(), "WEBP", save_all=True, append_images=[Image.new("RGB", files.SIZE)]),
    saved(files.quadrants(), "JPEG2000", tile_size=(32, 32), no_jp2=True),
    saved(files.quadrants().convert("1"), "TIFF", compression="group4"),
    tiff(QUADRANTS.astype(np.float32), photometric="rgb", compression="zlib", byteorder=">"),
    tiff(np.moveaxis(QUADRANTS, -1, 0).astype(np.uint16), photometric="rgb", planarconfig="separate"),
    tiff(QUADRANTS.astype(np.int16), photometric="rgb", tile=(16, 32), bigtiff=True),
    b"P3 64 48 255\n" + b" ".join(b"%d" % value for value in QUADRANTS.ravel()),
    b"P7\nWIDTH 64\nHEIGHT 48\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + QUADRANTS.tobytes(),
]


def decode_or_reason(file: bytes, min_side: int | None) -> None:
    try:
        image, info = (
            (decoded := photo(file, min_side=min_side, max_pixels=1_000_000, gps=True)).image,
            decoded.info,
        )
    except PhotoError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert image.mode == "RGB" and info.width and info.height and info.orientation in range(1, 9)
        assert info.taken and datetime.fromisoformat(info.taken)


@examples(150)
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", *(file[:30] for file in SAMPLES)]))
@example(content=b"", head=b"II*\0")
def test_any_bytes_decode_or_give_a_reason(content: bytes, head: bytes) -> None:
    decode_or_reason(head + content, None)


@examples(300)
@given(
    file=st.sampled_from(SAMPLES),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    early=st.booleans(),
    end=st.one_of(st.just(1.0), st.floats(0, 1)),
    min_side=st.sampled_from([None, 4]),
)
@pytest.mark.slow
def test_damaged_files_decode_or_give_a_reason(
    file: bytes, edits: list[tuple[float, int]], early: bool, end: float, min_side: int | None
) -> None:
    damaged = bytearray(file)
    for place, value in edits:  # headers are where damage hurts most
        damaged[int(place * (min(len(file), 400 if early else len(file)) - 1))] = value
    decode_or_reason(bytes(damaged[: int(len(damaged) * end)]), min_side)


# EXIF


def test_which_date_counts() -> None:
    original, digitized, changed = "2001:01:01 01:01:01", "2002:02:02 02:02:02", "2003:03:03 03:03:03"

    def taken(tags: dict[int, Any], details: dict[int, Any]) -> tuple[str | None, str | None]:
        info = photo(files.encode("JPEG", exif=files.exif(tags, details))).info
        return info.taken, info.taken_source

    assert taken({0x0132: changed}, {0x9003: original, 0x9004: digitized}) == ("2001-01-01T01:01:01", "exif")
    assert (
        taken({0x0132: changed}, {0x9003: "0000:00:00 00:00:00", 0x9004: digitized})[0]
        == "2002-02-02T02:02:02"
    )
    assert taken({0x0132: changed}, {})[0] == "2003-03-03T03:03:03"
    assert taken({0x0132: "9999:99:99 99:99:99"}, {}) == (MTIME_DATE, "mtime")
    assert taken({}, {}) == (MTIME_DATE, "mtime")


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 15 Pro", "Apple iPhone 15 Pro"),
        ("samsung", "SM-G991B", "samsung SM-G991B"),
        ("FUJIFILM\0\0junk", "  X100V \0", "FUJIFILM X100V"),
        ("OLYMPUS  IMAGING\tCORP.  ", "E-M10", "OLYMPUS IMAGING CORP. E-M10"),
        (b"Sony", b"ILCE-7", "Sony ILCE-7"),
        ("", "X", "X"),
        ("Leica", None, "Leica"),
        ("", "\0", None),
        (None, None, None),
        (7, (1, 2), None),
        ("x" * 500, "y", "x" * 100),
    ],
)
def test_camera_names(make: object, model: object, expected: str | None) -> None:
    assert camera_name(make, model) == expected


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        ({1: "N", 2: (48.0, 51.0, 30.0), 3: "W", 4: (2.0, 0.0, 0.0)}, (48.858333, -2.0)),
        ({1: "s", 2: (1.5, 0.0, 0.0), 3: "E", 4: (180.0, 0.0, 0.0)}, (-1.5, 180.0)),
        ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (48.0, 51.0), 3: "E", 4: (2.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (48.0, 51.0, 0.0)}, (None, None)),
        ({1: "N", 2: 48, 3: "E", 4: 2}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_places(gps: dict[int, Any], expected: tuple[float | None, float | None]) -> None:
    info = photo(files.encode("JPEG", exif=files.exif(gps=gps)), gps=True).info
    assert (info.latitude, info.longitude) == expected


def test_a_place_over_zero_is_no_place() -> None:
    block = bytearray(files.exif(gps={1: "N", 2: (48.0, 51.0, 0.0), 3: "E", 4: (2.0, 3.0, 4.0)}))
    at = block.index(struct.pack(">II", 51, 1))
    struct.pack_into(">II", block, at, 51, 0)
    assert photo(files.encode("JPEG", exif=bytes(block)), gps=True).info.latitude is None


EXIF = files.exif({0x010F: "Maker", 0x0112: 1}, {0x9003: "2021:03:04 05:06:07"}, {1: "N", 2: (1.0, 2.0, 3.0)})


@examples(200)
@given(
    format=st.sampled_from(["JPEG", "PNG", "WEBP", "AVIF"]),
    edits=st.lists(st.tuples(st.integers(0, len(EXIF)), st.integers(0, 255)), max_size=8),
    end=st.one_of(st.just(len(EXIF)), st.integers(0, len(EXIF))),
)
@pytest.mark.slow
def test_a_damaged_exif_block_never_fails_a_photo(
    format: str, edits: list[tuple[int, int]], end: int
) -> None:
    intact = 14 if format == "AVIF" else 6  # Pillow's AVIF reader refuses a file whose block is no TIFF
    block = bytearray(EXIF)
    for place, value in edits:
        block[max(intact, place) % len(block)] = value
    damaged = EXIF[:intact] + block[intact : max(end, 20)]
    decoded = photo(files.with_exif(format, bytes(damaged)), gps=True)
    assert {*files.corners(decoded.image)} == {*files.UPRIGHT}


@pytest.mark.parametrize("pointer", [0, 7, 1_000_000, 2**32 - 1])
@pytest.mark.parametrize("tag", [0x8769, 0x8825])
def test_a_tiff_whose_exif_pointer_leads_nowhere(tag: int, pointer: int) -> None:
    file = files.with_tiff_tag(files.encode("TIFF", exif=EXIF), tag, pointer)
    decoded = photo(file, gps=True)
    assert files.corners(decoded.image) == files.UPRIGHT


def test_an_intact_exif_tiff_is_read() -> None:
    assert photo(files.encode("TIFF", exif=EXIF)).info.taken == "2021-03-04T05:06:07"


# Query pictures, threads, and what stays open


def test_open_picture_is_what_indexing_sees(tmp_path: Path) -> None:
    file = files.encode("JPEG", files.quadrants((800, 600)))
    (tmp_path / "x.jpg").write_bytes(file)
    indexed = np.asarray(photo(file, min_side=40).image)
    for source in (file, tmp_path / "x.jpg"):
        assert np.array_equal(np.asarray(open_picture(source, min_side=40)), indexed)
    with pytest.raises(PhotoError, match="text"):
        open_picture(b"no picture")


@pytest.mark.slow
def test_many_threads() -> None:
    expected = [np.asarray(photo(file).image) for file in SAMPLES]
    start = threading.Barrier(8)

    def work(thread: int) -> bool:
        start.wait()
        order = np.random.default_rng(thread).permutation(len(SAMPLES) * 3) % len(SAMPLES)
        return all(np.array_equal(np.asarray(photo(SAMPLES[i]).image), expected[i]) for i in order)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


FIRST_USE = """
import sys, threading
from pathlib import Path
from clipsight.core.arguments import DEFAULT_MAX_PIXELS
from clipsight.core.errors import PhotoError
from clipsight.indexing.media.photo import decode
paths = [Path(name) for name in sys.argv[1:]]
start = threading.Barrier(8)
read = []
def work(turn):
    start.wait()
    for path in paths[turn:] + paths[:turn]:
        try:
            read.append(decode(path, mtime_ns=0).info.format)
        except PhotoError:
            read.append("damaged")
threads = [threading.Thread(target=work, args=(turn,)) for turn in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*sorted(read))
"""


@pytest.mark.process
def test_first_use_by_many_threads_at_once_and_in_silence(tmp_path: Path) -> None:
    """In a fresh process: the first thread to come imports a reader, and none writes to stderr."""
    for format in files.FORMATS:
        (tmp_path / format).write_bytes(files.encode(format))
    (tmp_path / "bad exif").write_bytes(files.with_exif("JPEG", EXIF[:40]))
    many_samples = files.with_tiff_tag(files.encode("TIFF"), 277, 99)  # Pillow logs an error
    (tmp_path / "bad tiff").write_bytes(many_samples)
    command = [sys.executable, "-c", FIRST_USE, *sorted(tmp_path.iterdir())]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)  # type: ignore[arg-type]
    expected = sorted([*files.FORMATS, "JPEG", "damaged"] * 8)
    assert (finished.stdout.split(), finished.stderr) == (expected, "")


def test_a_heic_item_type_that_is_no_text() -> None:
    """One damaged byte there ends the process in pi-heif 1.4.0: it must not get that far."""
    for orientation in (1, 2):
        file = files.heic(orientation)
        at = file.index(b"Exif\0")
        damaged = file[:at] + b"\xc6" + file[at + 1 :]
        assert reason(damaged) == "damaged HEIF: the type of an item is not text"


def test_files_are_closed(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("counts open files through /proc")
    for format in files.FORMATS:
        path = tmp_path / format
        path.write_bytes(files.encode(format))
        broken = tmp_path / f"broken {format}"
        broken.write_bytes(files.encode(format)[:40])
        kept = [decode(path, mtime_ns=0)]
        with pytest.raises(PhotoError):
            decode(broken, mtime_ns=0)
        names = [
            os.readlink(f"/proc/self/fd/{fd}")
            for fd in os.listdir("/proc/self/fd")
            if os.path.islink(f"/proc/self/fd/{fd}")
        ]
        assert kept and not [name for name in names if str(tmp_path) in name]
