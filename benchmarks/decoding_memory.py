"""Peak memory of decoding, in bytes a pixel: the source of `indexing.media.memory.BYTES_PER_PIXEL`.

    python -m benchmarks.decoding_memory WORK [FILE ...]

Each kind of file is written at 6 and at 24 megapixels, as a gradient, so that its compressed bytes do not
count, and decoded in a process of its own, upright from a turned picture where the format can say that.
`size` is what is measured at 24 megapixels, `slope` what the further 18 add. FILEs are measured as they are
(HEICs, which nothing here can write). `counted` is what the budget reserves.
"""

import argparse
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from benchmarks import measure
from clipsight.indexing.media.formats import open_reader, sniff
from clipsight.indexing.media.memory import decoding_bytes
from tests.support.decoding_memory import peak_bytes

_SIZES = ((600, 400), (3000, 2000), (6000, 4000))
_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_WIDE = _ICC.replace(b"rXYZ", b"temp").replace(b"gXYZ", b"rXYZ").replace(b"temp", b"gXYZ")
_TURNED = Image.Exif()
_TURNED[0x0112] = 6
_METADATA = {"exif": _TURNED, "icc_profile": _WIDE}

Writer = Callable[[tuple[int, int]], bytes]


def gradient(mode: str, size: tuple[int, int]) -> Image.Image:
    grey = Image.linear_gradient("L").resize(size)
    if mode in ("P", "1"):
        return Image.merge("RGB", [grey] * 3).quantize(64) if mode == "P" else grey.convert("1", dither=0)
    return Image.merge(mode, [grey] * Image.getmodebands(mode)) if mode != "L" else grey


def pillow(format_: str, mode: str = "RGB", **options: Any) -> Writer:
    def write(size: tuple[int, int]) -> bytes:
        out = io.BytesIO()
        image = gradient(mode, size)
        more = [image.rotate(180)] if options.get("save_all") else None
        image.save(out, format_, **options, **({"append_images": more} if more else {}))
        return out.getvalue()

    return write


def tiff(channels: int, dtype: str, photometric: str, **options: Any) -> Writer:
    """A TIFF by tifffile, in a single strip with compression."""

    def write(size: tuple[int, int]) -> bytes:
        import tifffile

        values = np.asarray(gradient("L", size), np.float64)[..., None] / 255
        scale = 1 if dtype == "f4" else np.iinfo(dtype).max
        out = io.BytesIO()
        tifffile.imwrite(
            out,
            np.repeat(values * scale, channels, -1).astype(dtype),
            photometric=photometric,
            compression="zlib",
            rowsperstrip=size[1],
            **options,
        )
        return out.getvalue()

    return write


def netpbm(head: str, dtype: str, channels: int) -> Writer:
    def write(size: tuple[int, int]) -> bytes:
        values = np.asarray(gradient("L", size)).astype(dtype)[..., None]
        return head.format(*size).encode() + np.repeat(values, channels, -1).tobytes()

    return write


def jxl_of_jpeg(**options: Any) -> Writer:
    def write(size: tuple[int, int]) -> bytes:
        import pillow_jxl  # noqa: F401  registers the format

        out = io.BytesIO()
        Image.open(io.BytesIO(pillow("JPEG", **options)(size))).save(out, "JXL", effort=1, lossless_jpeg=True)
        return out.getvalue()

    return write


def kinds() -> dict[str, tuple[Writer, int]]:
    """Name -> function that writes a file of a size, and `min_side` of decoding."""
    import pillow_jxl  # noqa: F401  registers the format
    from PIL import AvifImagePlugin, Jpeg2KImagePlugin, WebPImagePlugin  # noqa: F401

    jp2, avif, jxl = (functools.partial(pillow, each) for each in ("JPEG2000", "AVIF", "JXL"))
    turned = {"exif": _TURNED}
    return {
        "JPEG": (pillow("JPEG", **_METADATA), 0),
        "JPEG, reduced": (pillow("JPEG"), 224),
        "JPEG CMYK progressive": (pillow("JPEG", "CMYK", progressive=True, **turned), 0),
        "JPEG progressive, reduced": (pillow("JPEG", progressive=True, subsampling=0), 224),
        "PNG": (pillow("PNG", **_METADATA), 0),
        "PNG grey + alpha": (pillow("PNG", "LA", **_METADATA), 0),
        "PNG palette": (pillow("PNG", "P", transparency=3, **_METADATA), 0),
        "GIF": (pillow("GIF", "P", transparency=3, save_all=True), 0),
        "BMP": (pillow("BMP"), 0),
        "WebP": (pillow("WEBP", method=0, **_METADATA), 0),
        "WebP lossless + alpha": (pillow("WEBP", "RGBA", lossless=True, method=0, **turned), 0),
        "TIFF LZW": (pillow("TIFF", compression="tiff_lzw", **_METADATA), 0),
        "TIFF RGBA 16 bits": (tiff(4, "u2", "rgb", extrasamples=["unassalpha"]), 0),
        "TIFF RGB floats": (tiff(3, "f4", "rgb"), 0),
        "JPEG 2000": (jp2(), 0),
        "JPEG 2000 + alpha": (jp2("RGBA"), 0),
        "PPM": (netpbm("P6 {} {} 255\n", "u1", 3), 0),
        "PFM": (netpbm("PF\n{} {}\n-1\n", "<f4", 3), 0),
        "PAM": (netpbm("P7\nWIDTH {}\nHEIGHT {}\nDEPTH 4\nMAXVAL 255\nENDHDR\n", "u1", 4), 0),
        "AVIF": (avif(speed=10, **_METADATA), 0),
        "AVIF 4:4:4 + alpha": (avif("RGBA", speed=10, subsampling="4:4:4", **turned), 0),
        "JPEG XL": (jxl(effort=1, **_METADATA), 0),
        "JPEG XL lossless + alpha": (jxl("RGBA", effort=1, lossless=True), 0),
        "JPEG XL of a JPEG": (jxl_of_jpeg(), 0),
    }


def counted(path: Path) -> int:
    """Bytes that the budget reserves for a file decoded in full."""
    with path.open("rb") as file:
        return decoding_bytes(open_reader(file, sniff(file)), path.stat().st_size)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decoding_memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument("work", type=Path, help="a folder for the files, which are deleted again")
    parser.add_argument("files", type=Path, nargs="*", help="more files to measure")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, (write, min_side) in kinds().items():
        small, *large = (arguments.work / f"{number}.picture" for number in range(3))
        for path, size in zip((small, *large), _SIZES, strict=True):
            path.write_bytes(write(size))
        peaks = [peak_bytes([path], [small], min_side=min_side) for path in large]
        pixels = [width * height for width, height in _SIZES[1:]]
        slope = (peaks[1] - peaks[0]) / (pixels[1] - pixels[0])
        reserved = f"{counted(large[1]) / pixels[1]:.1f}" if not min_side else "-"
        rows.append((name, f"{peaks[1] / pixels[1]:.1f}", f"{slope:.1f}", reserved))
        print(*rows[-1], flush=True)
        for path in (small, *large):
            path.unlink()
    for path in arguments.files:
        with path.open("rb") as file:
            picture = open_reader(file, sniff(file))
            pixels_ = picture.width * picture.height
        peak = peak_bytes([path], [path])
        rows.append((path.name, f"{peak / pixels_:.1f}", "-", f"{counted(path) / pixels_:.1f}"))
    measure.print_table(("bytes a pixel of", "size", "slope", "counted"), rows)


if __name__ == "__main__":
    main()
