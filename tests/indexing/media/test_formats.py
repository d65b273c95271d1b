"""Formats recognised by their first bytes, whatever a file is called."""

import io

import pytest

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.formats import reason, sniff
from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files


def ftyp(*brands: bytes) -> bytes:
    body = brands[0] + bytes(4) + b"".join(brands[1:])
    return (8 + len(body)).to_bytes(4) + b"ftyp" + body


@pytest.mark.parametrize(
    ("brands", "formats"),
    [
        ((b"heic", b"mif1", b"heic"), ("HEIF",)),
        ((b"mif1", b"mif1", b"heic"), ("HEIF",)),
        ((b"mif1", b"mif1", b"avif", b"miaf"), ("AVIF",)),
        ((b"avif", b"mif1", b"miaf", b"MA1A"), ("AVIF",)),
        ((b"msf1", b"hevc", b"mif1"), ("HEIF",)),
        ((b"mif1",), ("AVIF", "HEIF")),
        ((b"MiHE", b"mif1", b"heix"), ("HEIF",)),
        ((b"1234", b"avis", b"heic"), ("AVIF", "HEIF")),
    ],
)
def test_brands(brands: tuple[bytes, ...], formats: tuple[str, ...]) -> None:
    assert sniff(io.BytesIO(ftyp(*brands) + bytes(100))) == formats


@pytest.mark.parametrize("brands", [(b"mp42", b"isom"), (b"qt  ",), (b"M4V ", b"isom")])
def test_videos_are_no_pictures(brands: tuple[bytes, ...]) -> None:
    with pytest.raises(PhotoError, match="not an image"):
        sniff(io.BytesIO(ftyp(*brands) + b"heic" * 20))  # brands end with their box


@pytest.mark.parametrize("brands", [(b"mif1",), (b"mif1", b"heic"), (b"MiHB", b"heix", b"mif1")])
def test_a_heic_of_any_brands_is_read(brands: tuple[bytes, ...]) -> None:
    file = files.heic()
    size = int.from_bytes(file[:4])
    compatible = brands + (b"mif1",) * ((size - 16) // 4)
    renamed = file[:8] + compatible[0] + bytes(4) + b"".join(compatible[1:])[: size - 16] + file[size:]
    photo = decode(renamed, mtime_ns=0)
    assert (files.corners(photo.image), photo.info.format) == (files.UPRIGHT, "HEIF")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("image file is truncated (3 bytes not processed)"), "truncated X"),
        (RuntimeError("Unexpected end of file: 1"), "truncated X"),
        (ValueError("Unsupported codec"), "unsupported X: Unsupported codec"),
        (NotImplementedError("no"), "unsupported X: no"),
        (SyntaxError("broken\nheader"), "damaged X: broken header"),
        (IndexError("index out of range"), "damaged X: its header can't be read"),
        (OSError(5, "Input/output error"), "can't be read: Input/output error"),
        (MemoryError(), "X too large for this machine's memory"),
        (OSError(), "damaged X: its pixels can't be read"),
    ],
)
def test_reasons(error: Exception, expected: str) -> None:
    assert reason(error, ("X",)).startswith(expected)


def test_a_header_that_ends_with_the_file_is_truncated() -> None:
    assert reason(IndexError("index out of range"), ("X",), at_end=True).startswith("truncated X")
