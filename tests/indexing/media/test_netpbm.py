"""Pictures of Netpbm, against the formats' definitions and, where it reads them, Pillow."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import PpmImagePlugin

from clipsight.core.errors import PhotoError
from clipsight.indexing.media import netpbm
from clipsight.indexing.media.photo import decode

NOISE = np.random.default_rng(0).integers(0, 256, (13, 21, 4), np.uint8)


def shown(file: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(decode(file, mtime_ns=0, strict=True).image)


def digits(values: np.ndarray[Any, Any]) -> bytes:
    return b"\n".join(b" ".join(b"%d" % value for value in row) for row in values.reshape(len(values), -1))


@given(st.binary(max_size=300), st.sampled_from(range(1, 8)), st.sampled_from([b"f", b"F"]))
def test_any_bytes_are_a_picture_or_give_a_reason(content: bytes, number: int, letter: bytes) -> None:
    for head in (b"P%d\n3 2\n" % number, b"P%d " % number, b"P" + letter + b"\n2 1\n-1\n"):
        try:
            image = decode(head + content, mtime_ns=0, max_pixels=10_000).image
        except PhotoError as error:
            assert "\n" not in str(error)
        else:
            assert image.mode == "RGB"


@given(
    magic=st.sampled_from([b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"]),
    width=st.integers(1, 20),
    height=st.integers(1, 6),
    white=st.sampled_from([1, 7, 100, 255]),
    seed=st.integers(0, 99),
)
def test_pixels_are_pillows(magic: bytes, width: int, height: int, white: int, seed: int) -> None:
    channels = 3 if magic in (b"P3", b"P6") else 1
    values = np.random.default_rng(seed).integers(0, white + 1, (height, width, channels), np.uint8)
    head = magic + b"\n# a comment\n%d %d\n" % (width, height)
    if magic in (b"P1", b"P4"):
        bits = values[..., 0] % 2
        content = digits(bits) if magic == b"P1" else np.packbits(bits, axis=1).tobytes()
    else:
        head += b"%d\n" % white
        content = values.tobytes() if magic in (b"P5", b"P6") else digits(values)
    expected = PpmImagePlugin.PpmImageFile(io.BytesIO(head + content), "").convert("RGB")
    assert np.abs(shown(head + content).astype(int) - np.asarray(expected)).max() <= 1  # halves are rounded


@pytest.mark.parametrize("white", [256, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits(white: int, channels: int) -> None:
    values = np.random.default_rng(white).integers(0, white + 1, (13, 21, channels), np.uint16)
    expected = np.broadcast_to(np.round(values / white * 255), (13, 21, 3))
    raw = b"P%d 21 13 %d\n" % (5 if channels == 1 else 6, white) + values.astype(">u2").tobytes()
    plain = b"P%d 21 13 %d\n" % (2 if channels == 1 else 3, white) + digits(values)
    for file in (raw, plain):
        assert np.array_equal(shown(file), expected)


def pam(values: np.ndarray[Any, Any], kind: bytes, white: int = 255) -> bytes:
    head = b"P7\n# made here\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\n" % (
        *values.shape[1::-1],
        values.shape[2],
        white,
    )
    return head + (b"TUPLTYPE " + kind + b"\n" if kind else b"") + b"ENDHDR\n" + values.tobytes()


@pytest.mark.parametrize(
    ("kind", "channels"),
    [
        (b"GRAYSCALE", 1),
        (b"RGB", 3),
        (b"", 1),
        (b"", 3),
        (b"RGB_ALPHA", 4),
        (b"GRAYSCALE_ALPHA", 2),
        (b"", 4),
    ],
)
def test_pam(kind: bytes, channels: int) -> None:
    values = NOISE[..., :channels].copy()
    if channels in (2, 4):
        values[..., -1] = 255
    colours = values[..., : channels - (channels in (2, 4))]
    assert np.array_equal(shown(pam(values, kind)), np.broadcast_to(colours, (13, 21, 3)))
    deep = (values.astype(">u2") * 257).astype(">u2")
    assert np.array_equal(shown(pam(deep, kind, 65535)), np.broadcast_to(colours, (13, 21, 3)))


def test_pam_of_bits_and_cmyk() -> None:
    bits = NOISE[..., :1] % 2
    assert np.array_equal(shown(pam(bits, b"BLACKANDWHITE", 1)), np.broadcast_to(bits * 255, (13, 21, 3)))
    cmyk = np.zeros((2, 2, 4), np.uint8)
    cmyk[..., 0] = 255
    assert shown(pam(cmyk, b"CMYK"))[0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("channels", [1, 3])
def test_pfm(order: str, channels: int) -> None:
    values = NOISE[..., :channels].astype(np.float32) / 255
    head = b"P%s\n21 13\n%d.0\n" % (b"f" if channels == 1 else b"F", -1 if order == "<" else 1)
    file = head + values[::-1].astype(order + "f4").tobytes()
    assert np.array_equal(shown(file), np.broadcast_to(NOISE[..., :channels], (13, 21, 3)))
    heights = head + (values[::-1] * 2000 - 500).astype(order + "f4").tobytes()
    low, high = values.min(), values.max()
    stretched = np.round((values - low) / (high - low) * 255)
    assert np.abs(shown(heights).astype(int) - np.broadcast_to(stretched, (13, 21, 3))).max() <= 1


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = NOISE[..., :3]
    floats = b"PF 21 13 -1\n" + (values[::-1] / np.float32(255)).astype("<f4").tobytes()
    monkeypatch.setattr(netpbm, "_BAND_BYTES", 200)
    for file in (b"P6 21 13 255\n" + values.tobytes(), b"P3 21 13 255\n" + digits(values), floats):
        assert np.array_equal(shown(file), values)
    bits = values[..., 0] % 2
    for file in (b"P1 21 13\n" + digits(bits), b"P4 21 13\n" + np.packbits(bits, axis=1).tobytes()):
        assert np.array_equal(shown(file)[..., 0], 255 - bits * 255)


def test_comments_among_plain_values() -> None:
    assert shown(b"P2#x\n2 1#y\n9 # z\n0 # 5\n9 # 7").tolist() == [[[0] * 3, [255] * 3]]
    assert shown(b"P1 2 2 10#11\n0 1")[..., 0].tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize("head", [b"P2 21 13 255\n", b"P3 21 13 255\n", b"P5 21 13 255\n", b"PF 21 13 -1\n"])
def test_what_is_there_of_a_cut_file(head: bytes) -> None:
    values = NOISE[..., : 1 if head[:2] in (b"P2", b"P5") else 3]
    content = digits(values) if head[:2] in (b"P2", b"P3") else values.tobytes()
    if head[:2] == b"PF":
        content = (values[::-1] / np.float32(255)).astype("<f4").tobytes()
    cut = (head + content)[: len(head) + len(content) // 2]
    photo = decode(cut, mtime_ns=0)
    assert photo.info.partial == "truncated PPM: the file ends before its picture does"
    rows = slice(8, None) if head[:2] == b"PF" else slice(0, 5)
    assert np.abs(np.asarray(photo.image)[rows].astype(int) - values[rows]).max() < 3


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"P6 2", "truncated PPM"),
        (b"P6 0 1 255\n", "damaged PPM: it has no pixels"),
        (b"P6 1 1 70000\n123", "damaged PPM: its largest value is not between 1 and 65535"),
        (b"P2 1 1 9\n10", "damaged PPM: a value is larger than its largest"),
        (b"Pf 1 1 0\n1234", "damaged PPM: its scale is zero or not a number"),
        (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 9\nMAXVAL 1\nENDHDR\n", "unsupported PPM: PAM of 9 channels"),
        (b"P7\nWIDTH 1\nENDHDR\n", "damaged PPM: it has no DEPTH"),
    ],
)
def test_reasons(file: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        decode(file, mtime_ns=0)


def test_a_text_that_begins_like_a_picture() -> None:
    with pytest.raises(PhotoError, match="not an image: the file is text"):
        decode(b"P1ain text", mtime_ns=0)
