import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.formats import truncated
from clipsight.indexing.media.mending import mend
from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files
from tests.support.properties import examples

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8))


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def encoded(format: str, image: Image.Image = NOISE, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
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


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("restart", [0, 1])
def test_a_progressive_jpeg_that_lacks_its_last_scans_is_partial(mode: str, restart: int) -> None:
    image = Image.effect_mandelbrot((160, 120), (-2, -1.5, 1, 1.5), 60).convert(mode)
    exif = Image.Exif()
    exif[0x010E] = "\u00ff\u00da \u00ff\u00c2"
    file = encoded("JPEG", image, progressive=True, restart_marker_rows=restart, exif=exif)
    assert not decode(file, mtime_ns=0, strict=True).info.partial
    scans = [at for at in range(len(file)) if file[at : at + 2] == b"\xff\xda" and file[at + 2] == 0]
    assert len(scans) > 4
    for at in scans[1:]:
        for end in (b"\xff\xd9", b""):
            info = decode(file[:at] + end, mtime_ns=0).info
            assert info.partial == truncated("JPEG"), at
            with pytest.raises(PhotoError, match="truncated JPEG"):
                decode(file[:at] + end, mtime_ns=0, strict=True)


@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"iCCP", b"eXIf", b"zzZz"])
def test_a_png_with_a_damaged_ancillary_chunk_is_whole(kind: bytes) -> None:
    file = encoded("PNG")
    photo = decode(with_chunk(file, chunk(kind, b"abc", damage=1)), mtime_ns=0, strict=True)
    assert np.array_equal(np.asarray(photo.image), pixels(file))
    assert not photo.info.partial


def test_a_png_without_its_last_chunk_is_whole() -> None:
    file = encoded("PNG")
    assert np.array_equal(pixels(file[:-12]), pixels(file))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("GIF", {"interlace": 0}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("PPM", {}),
    ],
)
def test_what_is_there_of_a_cut_file_is_read(format: str, options: dict[str, Any], share: float) -> None:
    file = encoded(format, **options)
    cut = file[: int(len(file) * share)]
    photo = decode(cut, mtime_ns=0)
    assert photo.info.partial == f"truncated {format}: the file ends before its picture does"
    rows = int(120 * share) - 24  # of JPEG, the headers are a part, and a row of blocks may be cut
    found, whole = np.asarray(photo.image), pixels(file)
    if format == "BMP":  # its rows come from below
        found, whole = found[::-1], whole[::-1]
    assert np.array_equal(found[:rows], whole[:rows])
    assert not np.array_equal(found, whole)
    with pytest.raises(PhotoError, match=f"truncated {format}: the file ends before its picture does"):
        decode(cut, mtime_ns=0, strict=True)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", ["HEIF", "AVIF", "WEBP"])
def test_the_top_of_cut_pictures_of_other_codecs_is_near(name: str, share: float) -> None:
    """Lossy codecs go on with something where their data ends; what is above stays as it was."""
    smooth = NOISE.resize((6, 4)).resize((512, 384), Image.Resampling.BICUBIC)
    smooth = Image.blend(smooth, NOISE.resize((512, 384)), 0.2)
    file = files.heic() if name == "HEIF" else encoded(name, smooth, quality=90)
    start = file.index(b"mdat") if name != "WEBP" else 30
    cut = file[: start + int((len(file) - start) * share)]
    try:
        photo = decode(cut, mtime_ns=0)
    except PhotoError as error:  # a codec may give up
        assert name == "AVIF" and str(error).startswith("truncated AVIF")
        return
    assert photo.info.partial == f"truncated {name}: the file ends before its picture does"
    found, whole = np.asarray(photo.image).astype(int), pixels(file).astype(int)
    rows = int(len(found) * share * 0.4)
    assert np.abs(found[:rows] - whole[:rows]).mean() < 4
    with pytest.raises(PhotoError, match=f"truncated {name}"):
        decode(cut, mtime_ns=0, strict=True)


@pytest.mark.parametrize("container", [True, False])
def test_a_cut_jpeg2000_is_less_sharp(container: bool) -> None:
    smooth = NOISE.resize((12, 9)).resize((160, 120), Image.Resampling.BICUBIC)
    file = encoded("JPEG2000", smooth, no_jp2=not container)
    for share, difference in ((0.5, 20), (0.9, 5)):
        photo = decode(file[: int(len(file) * share)], mtime_ns=0)
        assert photo.info.partial == "truncated JPEG2000: the file ends before its picture does"
        assert np.abs(np.asarray(photo.image).astype(int) - pixels(file)).mean() < difference
    assert decode(file[:-2], mtime_ns=0, strict=True).info.partial is None  # the end marker only


def test_tiles_that_a_jpeg2000_lacks_are_grey() -> None:
    file = encoded("JPEG2000", tile_size=(64, 64), irreversible=False)
    first = file.index(b"\xff\x90", file.index(b"\xff\x90") + 2)
    for cut in (len(file) // 2, file.rindex(b"\xff\x90")):
        photo = decode(file[:cut], mtime_ns=0)
        assert photo.info.partial == "truncated JPEG2000: the file ends before its picture does"
        found = np.asarray(photo.image)
        assert np.array_equal(found[:64, :64], pixels(file)[:64, :64])
        assert (found[64:, 128:] == 128).all()
        with pytest.raises(PhotoError, match="truncated JPEG2000"):
            decode(file[:cut], mtime_ns=0, strict=True)
    with pytest.raises(PhotoError, match="truncated JPEG2000"):
        decode(file[: first - 3000], mtime_ns=0)


def test_a_jpeg_with_an_end_marker_behind_too_little_is_partial() -> None:
    """libjpeg makes grey of what is missing, and Pillow does not say so."""
    for image in (NOISE, NOISE.convert("L"), NOISE.convert("CMYK")):
        file = encoded("JPEG", image)
        for more in (b"", b"\0\0\0\x18ftypmp42"):  # a video behind the picture
            cut = file[: len(file) // 2] + b"\xff\xd9" + more
            photo = decode(cut, mtime_ns=0)
            assert photo.info.partial == "truncated JPEG: the file ends before its picture does"
            assert np.array_equal(np.asarray(photo.image)[:40], pixels(file)[:40])
            with pytest.raises(PhotoError, match="truncated JPEG"):
                decode(cut, mtime_ns=0, strict=True)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_ends_in_grey_is_whole(mode: str) -> None:
    image = NOISE.convert(mode)
    for grey in (127, 128):
        image.paste((grey,) * len(image.getbands()), (0, 60, 160, 120))
        assert decode(encoded("JPEG", image, quality=100), mtime_ns=0, strict=True).info.partial is None


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_with_too_few_rows_is_partial(interlaced: bool) -> None:
    """The compressed pixels end as they should, but too early."""
    noise = np.asarray(NOISE)
    passes = [
        noise[top::down, left::step] for left, top, step, down in (ADAM7 if interlaced else [(0, 0, 1, 1)])
    ]
    rows = b"".join(b"\0" + row.tobytes() for each in passes for row in each)
    header = struct.pack(">IIBBBBB", 160, 120, 8, 2, 0, 0, interlaced)
    for share, is_whole in ((1.0, True), (0.5, False), (0.99, False)):
        pixels_ = zlib.compress(rows[: int(len(rows) * share)])
        parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels_) + chunk(b"IEND", b"")
        file = b"\x89PNG\r\n\x1a\n" + parts
        photo = decode(file, mtime_ns=0)
        if is_whole:
            assert photo.info.partial is None
            continue
        assert str(photo.info.partial).startswith("damaged PNG: its pixels can be decompressed to")
        with pytest.raises(PhotoError, match="damaged PNG: its pixels can be decompressed to"):
            decode(file, mtime_ns=0, strict=True)


def test_a_png_whose_last_row_is_black_is_whole() -> None:
    image = NOISE.copy()
    image.paste(0, (0, 60, 160, 120))
    for mode in ("RGB", "L", "P", "RGBA", "1"):
        assert decode(encoded("PNG", image.convert(mode)), mtime_ns=0, strict=True).info.partial is None


def test_an_animated_webp_without_its_last_frames_is_whole() -> None:
    frames = [NOISE.resize((64, 48)).rotate(angle) for angle in (0, 90, 180)]
    file = encoded("WEBP", frames[0], save_all=True, append_images=frames[1:], lossless=True)
    second = file.index(b"ANMF", file.index(b"ANMF") + 4)
    photo = decode(file[: second + 40], mtime_ns=0, strict=True)
    assert np.array_equal(np.asarray(photo.image), np.asarray(frames[0])) and photo.info.partial is None
    first = decode(file[: second - 40], mtime_ns=0)
    assert first.info.partial and np.array_equal(np.asarray(first.image)[:30], np.asarray(frames[0])[:30])


def test_a_webp_that_lacks_metadata_behind_the_picture_is_whole() -> None:
    file = encoded("WEBP", lossless=True, exif=files.exif({0x0110: "A Camera"}), xmp=b"<x/>")
    photo = decode(file[:-6], mtime_ns=0, strict=True)
    assert np.array_equal(np.asarray(photo.image), np.asarray(NOISE)) and photo.info.partial is None
    assert photo.info.camera == "A Camera"


@pytest.mark.parametrize("format", ["WEBP", "AVIF", "HEIF"])
def test_the_reason_of_what_can_not_be_filled_is_true(format: str) -> None:
    file = files.heic() if format == "HEIF" else encoded(format)
    with pytest.raises(PhotoError, match=f"truncated {format}"):
        decode(file[: 40 if format == "WEBP" else file.index(b"mdat") + 12], mtime_ns=0)


def test_a_cut_progressive_jpeg_is_partial() -> None:
    file = encoded("JPEG", progressive=True)
    assert decode(file[: len(file) * 3 // 4], mtime_ns=0).info.partial


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_less_than_a_tenth_is_refused(format: str) -> None:
    file = encoded(format)
    start = file.index(b"\xff\xda") if format == "JPEG" else 41
    with pytest.raises(PhotoError, match="truncated"):
        decode(file[: start + 800], mtime_ns=0)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
@pytest.mark.slow
def test_a_png_with_much_compressed_text_is_whole(kind: bytes) -> None:
    """As programs that generate pictures write their settings; Pillow refuses more than 1 MiB."""
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    text = chunk(kind, head + zlib.compress(bytes(3 << 20)))
    file = with_chunk(encoded("PNG"), text)
    assert np.array_equal(pixels(file), np.asarray(NOISE))
    many = with_chunk(encoded("PNG"), chunk(kind, head + zlib.compress(bytes(1_000_000))) * 70)
    assert np.array_equal(pixels(many), np.asarray(NOISE))


def test_a_png_whose_pixels_are_damaged_is_partial() -> None:
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(NOISE)), 0)
    header = struct.pack(">IIBBBBB", 160, 120, 8, 2, 0, 0, 0)

    def file(rows: bytes, **damage: int) -> bytes:
        parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows, **damage) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + parts

    broken = rows[: len(rows) // 2] + b"\xff" * (len(rows) // 2)  # filters of an unknown type
    photo = decode(file(broken), mtime_ns=0)
    assert photo.info.partial == "damaged PNG: unrecognized data stream contents when reading image file"
    assert np.array_equal(np.asarray(photo.image)[:59], np.asarray(NOISE)[:59])
    with pytest.raises(PhotoError, match="damaged PNG: "):
        decode(file(broken), mtime_ns=0, strict=True)
    stream = zlib.compressobj()
    start = stream.compress(bytes(481 * 70)) + stream.flush(zlib.Z_FULL_FLUSH)
    wrong = decode(file(start + b"\xff" * 500), mtime_ns=0)  # a block of an unknown type
    assert wrong.info.partial == "damaged PNG: its pixels can be decompressed to 57% only"
    assert np.array_equal(pixels(file(rows, damage=1)), np.asarray(NOISE))
    assert np.array_equal(pixels(file(rows[:-4] + b"abcd")), np.asarray(NOISE))
    both = decode(file(rows[:-4] + b"abcd", damage=1), mtime_ns=0)
    assert both.info.partial == "damaged PNG: some of its pixels are wrong"


def test_a_bomb_with_a_damaged_chunk_is_not_decompressed() -> None:
    file = with_chunk(files.bomb("PNG"), chunk(b"tEXt", b"a\0b", damage=1))
    with pytest.raises(PhotoError, match="too large"):
        decode(file, mtime_ns=0)


def test_what_can_not_be_mended() -> None:
    for format in ("GIF", "PNG", "JPEG", "WEBP", "AVIF", "JPEG2000"):
        assert mend(bytes(100), format, 1000) is None
    for head in (b"\xff\xd8", b"\xff\x4f\xff\x51"):
        assert mend(head + bytes(100), "JPEG2000", 1000) is mend(head + bytes(100), "JPEG", 1000) is None


@pytest.mark.parametrize(
    ("start", "format"), [(b"\xff\xd8\xff\xf7", "JPEG-LS"), (b"8BPS", "Photoshop"), (b"qoif", "QOI")]
)
def test_unsupported_formats_are_not_called_damaged(start: bytes, format: str) -> None:
    with pytest.raises(PhotoError, match=f"^unsupported format: {format}$"):
        decode(start + bytes(50), mtime_ns=0)


def test_kinds_that_are_not_supported() -> None:
    bmp, jpeg = bytearray(files.encode("BMP")), bytearray(files.encode("JPEG"))
    bmp[30] = 4  # compressed as a JPEG
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12  # bits
    for file in (bmp, jpeg):
        with pytest.raises(PhotoError, match=r"^unsupported (BMP|JPEG): "):
            decode(bytes(file), mtime_ns=0)


@pytest.mark.parametrize("format", files.FORMATS)
def test_what_follows_a_picture_is_ignored(format: str) -> None:
    file = files.encode(format)
    for more in (b"more" * 100, bytes(5000)):
        photo = decode(file + more, mtime_ns=0, strict=True)
        assert photo.info.partial is None and files.corners(photo.image) == files.UPRIGHT


SMOOTH = Image.blend(NOISE.resize((6, 4)).resize((160, 120), Image.Resampling.BICUBIC), NOISE, 0.2)
WHOLE = {
    "JPEG": encoded("JPEG", SMOOTH),
    "JPEG progressive": encoded("JPEG", SMOOTH, progressive=True),
    "JPEG CMYK": encoded("JPEG", SMOOTH.convert("CMYK")),
    "PNG": encoded("PNG", SMOOTH),
    "PNG palette": encoded("PNG", SMOOTH.quantize(64)),
    "PNG grey + alpha": encoded("PNG", SMOOTH.convert("LA")),
    "GIF": encoded("GIF", SMOOTH),
    "GIF animated": encoded("GIF", SMOOTH, save_all=True, append_images=[SMOOTH.rotate(90)]),
    "BMP": encoded("BMP", SMOOTH),
    "BMP palette": encoded("BMP", SMOOTH.quantize(64)),
    "WEBP": encoded("WEBP", SMOOTH),
    "WEBP lossless": encoded("WEBP", SMOOTH, lossless=True),
    "WEBP alpha": encoded("WEBP", SMOOTH.convert("RGBA")),
    "TIFF": encoded("TIFF", SMOOTH),
    "TIFF LZW": encoded("TIFF", SMOOTH, compression="tiff_lzw"),
    "TIFF JPEG": encoded("TIFF", SMOOTH, compression="jpeg"),
    "TIFF fax": encoded("TIFF", SMOOTH.convert("1"), compression="group4"),
    "JPEG2000": encoded("JPEG2000", SMOOTH),
    "JPEG2000 codestream": encoded("JPEG2000", SMOOTH, no_jp2=True, irreversible=True),
    "JPEG2000 tiles": encoded("JPEG2000", SMOOTH, tile_size=(64, 64)),
    "PPM": encoded("PPM", SMOOTH),
    "PPM bits": encoded("PPM", SMOOTH.convert("1")),
    "PPM plain": b"P2 40 30 255\n" + b"".join(b"%d " % value for value in range(10, 250)) * 5,
    "PPM floats": b"PF 160 120 -1\n" + (np.asarray(SMOOTH) / 255).astype("<f4").tobytes(),
    "AVIF": encoded("AVIF", SMOOTH, speed=10),
    "AVIF alpha": encoded("AVIF", SMOOTH.convert("RGBA"), speed=10),
    "HEIF": files.heic(),
}


@pytest.mark.slow
@example(name="AVIF", share=0.037109375)  # in the header
@given(name=st.sampled_from(sorted(WHOLE)), share=st.sampled_from([0.1, 0.5, 0.9, 0.99]) | st.floats(0.01, 1))
@examples(200)
def test_a_cut_file_is_never_silently_whole(name: str, share: float) -> None:
    """What lacks pixels is partial, or refused with the true reason; `strict` refuses it."""
    file = WHOLE[name]
    cut = file[: min(int(len(file) * share), len(file) - 1)]
    whole = np.asarray(decode(file, mtime_ns=0, strict=True).image)
    try:
        photo = decode(cut, mtime_ns=0)
    except PhotoError as error:
        assert str(error).startswith(("truncated ", "not an image"))
        return
    if photo.info.partial is None:
        assert np.array_equal(np.asarray(photo.image), whole)
    else:
        assert photo.info.partial.startswith("truncated ")
        with pytest.raises(PhotoError, match="truncated"):
            decode(cut, mtime_ns=0, strict=True)


def test_a_jpeg2000_of_more_tiles_than_there_can_be_is_not_filled() -> None:
    size = struct.pack(">8I", 1 << 31, 48, 0, 0, 1, 1, 0, 0)
    assert mend(b"\xff\x4f\xff\x51\x00\x2f\x00\x00" + size, "JPEG2000", 1000) is None


def test_a_tile_of_gigabytes_is_left_out() -> None:
    whole = encoded("JPEG2000", SMOOTH, no_jp2=True, tile_size=(64, 64))
    last = whole.rindex(b"\xff\x90\x00\x0a")
    cut = whole[: last + 6] + struct.pack(">I", (1 << 32) - 1) + whole[last + 10 : -10]
    mended = mend(cut, "JPEG2000", 1 << 20)
    assert mended is not None and mended.problem and len(mended.data) < 2 * len(whole)
