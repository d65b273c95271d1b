import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.color_profile import to_srgb
from clipsight.indexing.media.jxl import read_size
from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files
from tests.support.properties import examples

pytest.importorskip("pillow_jxl")


def encode(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JXL", **{"lossless": True, "effort": 1, **options})
    return file.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pixels(mode: str, container: bool) -> None:
    values = NOISE[..., 0] if mode == "L" else np.ascontiguousarray(NOISE[..., :3])
    photo = decode(encode(Image.fromarray(values), use_container=container), mtime_ns=0, strict=True)
    shown = np.asarray(photo.image)
    assert np.array_equal(shown, np.broadcast_to(values.reshape(30, 40, -1), (30, 40, 3)))
    assert (photo.info.format, photo.info.width, photo.info.height) == ("JXL", 40, 30)


def test_16_bits_and_transparency() -> None:
    deep = NOISE[..., 0].astype(np.uint16) * 257
    file = encode(Image.fromarray(deep))
    with Image.open(io.BytesIO(file)) as opened:  # the encoder gives 16 bits another profile
        expected = to_srgb(Image.fromarray(NOISE[..., 0]), opened.info["icc_profile"]).convert("RGB")
    assert np.array_equal(np.asarray(decode(file, mtime_ns=0).image), np.asarray(expected))
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert decode(encode(clear), mtime_ns=0).image.getpixel((0, 0)) == (127, 127, 127)


def test_metadata_is_read_and_the_orientation_not_applied_twice() -> None:
    """The decoder has turned the picture by the codestream's own orientation; that of EXIF is a copy."""
    exif = files.exif({0x0110: "A Camera", 0x0112: 6}, {0x9003: "2021:03:04 05:06:07"})
    photo = decode(encode(files.quadrants(), exif=exif, use_container=True), mtime_ns=0)
    assert files.corners(photo.image) == files.UPRIGHT
    assert (photo.info.taken, photo.info.camera) == ("2021-03-04T05:06:07", "A Camera")


def test_a_jpeg_in_a_jpeg_xl_keeps_its_orientation(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(files.turned("JPEG", 6))
    with Image.open(tmp_path / "a.jpg") as jpeg:
        file = encode(jpeg, lossless_jpeg=True)
    photo = decode(file, mtime_ns=0)
    assert files.corners(photo.image) == files.UPRIGHT and photo.info.orientation == 6


@given(st.integers(1, 300), st.integers(1, 300))
@examples(30)
@example(8, 8)
@example(256, 192)
@example(160, 90)
@example(300, 1)
def test_the_size_is_read_before_decoding(width: int, height: int) -> None:
    assert read_size(encode(Image.new("L", (width, height)))[:16]) == (width, height)


@pytest.mark.parametrize("header", [b"", b"\xff\x0a", b"\xff\x0a\0", b"\0" * 20])
def test_what_is_no_header(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"truncated header|no codestream"):
        read_size(header)


def test_limits_are_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    import pillow_jxl.JpegXLImagePlugin as plugin

    file = encode(Image.new("L", (200, 100)))
    monkeypatch.setattr(plugin, "JXLImageFile", lambda *_: pytest.fail("decoded"))
    with pytest.raises(PhotoError, match="too large: 200 x 100"):
        decode(file, mtime_ns=0, max_pixels=10_000)


@pytest.mark.parametrize("container", [False, True])
def test_cut_files_are_refused(container: bool) -> None:
    file = encode(Image.fromarray(NOISE[..., :3]), use_container=container)
    with pytest.raises(PhotoError, match="^truncated JXL" if container else "^damaged or truncated JXL"):
        decode(file[: len(file) // 2], mtime_ns=0)


FILES = [encode(Image.fromarray(NOISE[..., :3]), use_container=container) for container in (False, True)]


@given(
    file=st.sampled_from(FILES),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
    early=st.booleans(),
)
def test_damaged_files_decode_or_give_a_reason(
    file: bytes, edits: list[tuple[float, int]], early: bool
) -> None:
    damaged = bytearray(file)
    for place, value in edits:
        damaged[int(place * (60 if early else len(file) - 1))] = value
    try:
        image = decode(bytes(damaged), mtime_ns=0, max_pixels=1_000_000).image
    except PhotoError as error:
        assert "\n" not in str(error)
    else:
        assert image.mode == "RGB"


def test_without_the_plugin_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pillow_jxl", "pillow_jxl.JpegXLImagePlugin"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        PhotoError,
        match=r"^JPEG XL needs pillow-jxl-plugin: pip install '\.\[jxl\]' in the clone",
    ):
        decode(FILES[0], mtime_ns=0)
