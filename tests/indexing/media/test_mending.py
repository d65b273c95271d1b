import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.mending import mend
from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8))


def encoded(format: str, **options: object) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes, *, damage: int = 0) -> bytes:
    checksum = zlib.crc32(kind + data) ^ damage
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def with_chunk(png: bytes, new: bytes) -> bytes:
    """The PNG with a chunk after its header."""
    return png[:33] + new + png[33:]


def pixels(file: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.asarray(decode(file, mtime_ns=0, strict=True).image)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [b"", b"\xff"])
def test_a_jpeg_without_its_end_marker_is_whole(progressive: bool, end: bytes) -> None:
    file = encoded("JPEG", progressive=progressive)
    photo = decode(file[:-2] + end, mtime_ns=0, strict=True)
    assert np.array_equal(np.asarray(photo.image), pixels(file))
    assert not photo.info.partial


@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"iCCP", b"eXIf", b"zzZz"])
def test_a_png_with_a_damaged_ancillary_chunk_is_whole(kind: bytes) -> None:
    file = encoded("PNG")
    photo = decode(with_chunk(file, chunk(kind, b"abc", damage=1)), mtime_ns=0, strict=True)
    assert np.array_equal(np.asarray(photo.image), pixels(file))
    assert not photo.info.partial


def test_a_png_without_its_last_chunk_is_whole() -> None:
    file = encoded("PNG")
    assert np.array_equal(pixels(file[:-12]), pixels(file))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_what_is_there_of_a_cut_file_is_read(format: str, share: float) -> None:
    file = encoded(format)
    cut = file[: int(len(file) * share)]
    photo = decode(cut, mtime_ns=0)
    assert photo.info.partial
    rows = int(120 * share) - 24  # of JPEG, the headers are a part, and a row of blocks may be cut
    assert np.array_equal(np.asarray(photo.image)[:rows], pixels(file)[:rows])
    with pytest.raises(PhotoError, match=f"truncated {format}: the file ends before its picture does"):
        decode(cut, mtime_ns=0, strict=True)


def test_a_cut_progressive_jpeg_is_partial() -> None:
    file = encoded("JPEG", progressive=True)
    assert decode(file[: len(file) * 3 // 4], mtime_ns=0).info.partial


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_less_than_a_tenth_is_refused(format: str) -> None:
    file = encoded(format)
    start = file.index(b"\xff\xda") if format == "JPEG" else 41
    with pytest.raises(PhotoError, match="truncated"):
        decode(file[: start + 800], mtime_ns=0)


def test_interlaced_pngs() -> None:
    """Adam7, 1 x 1 and 5 x 3 pixels: the number of bytes of its passes is that of the specification."""
    for width, height, size in ((1, 1, 4), (5, 3, 4 + 4 + 4 + 10 + 2 * 7 + 16)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
        for missing in (0, 1):
            body = chunk(b"IDAT", zlib.compress(bytes(size - missing)))
            mended = mend(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body, "PNG", 1000)
            assert mended is not None and mended.partial == bool(missing)


def test_a_bomb_with_a_damaged_chunk_is_not_decompressed() -> None:
    file = with_chunk(files.bomb("PNG"), chunk(b"tEXt", b"a\0b", damage=1))
    with pytest.raises(PhotoError, match="too large"):
        decode(file, mtime_ns=0)


def test_other_formats_are_not_mended() -> None:
    assert mend(files.encode("GIF"), "GIF", 1000) is None
    assert mend(b"", "PNG", 1000) is None
    assert mend(b"\xff\xd8", "JPEG", 1000) is None
