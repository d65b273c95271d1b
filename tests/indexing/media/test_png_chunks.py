import io
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.indexing.media import png_chunks as png

HEADER = struct.pack(">IIBBBBB", 5, 3, 8, 2, 0, 0, 1)


def test_raw_size_of_interlaced_pngs() -> None:
    """Adam7, 1 x 1 and 5 x 3 pixels: the number of bytes of its passes is that of the specification."""
    for width, height, size in ((1, 1, 4), (5, 3, 4 + 4 + 4 + 10 + 2 * 7 + 16)):
        assert png.raw_size(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)) == size


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["1", "L", "P", "RGB", "RGBA", "LA", "I;16"]))
def test_raw_size_is_that_of_pillows_files(width: int, height: int, mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG")
    chunks = list(png.split(file.getvalue()))
    pixels = b"".join(body for kind, body, _ in chunks if kind == b"IDAT")
    assert png.raw_size(chunks[0][1]) == len(zlib.decompress(pixels))
    assert all(is_right for _, _, is_right in chunks)
    assert png.join((kind, body) for kind, body, _ in chunks) == file.getvalue()


@given(st.binary(max_size=2000), st.integers(0, 2000), st.integers(0, 2500))
def test_completed_pixels_begin_with_what_is_there(data: bytes, cut: int, expected: int) -> None:
    compressed = zlib.compress(data)[: cut + 2]
    completed, found, is_damaged = png.complete(compressed, expected)
    whole = zlib.decompress(completed) if expected else b""
    assert len(whole) == expected and found <= min(len(data), expected)
    assert whole[:found] == data[:found] and not any(whole[found:])
    if cut + 2 >= len(zlib.compress(data)):
        assert found == min(len(data), expected) and is_damaged == (len(data) < expected)


def test_much_data_is_completed() -> None:
    data = bytes(range(256)) * 400
    completed, found, is_damaged = png.complete(zlib.compress(data, 0)[:60_000], 200_000)
    assert 55_000 < found <= 60_000 and not is_damaged
    assert zlib.decompress(completed) == data[:found] + bytes(200_000 - found)
