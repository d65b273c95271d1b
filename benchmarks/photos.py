"""Files to index, made from real photos: thousands of small ones, or some of 12 megapixels.

    python -m benchmarks.photos OUT --large 400
    python -m benchmarks.photos OUT --small 20000 --width 640

The sources are the photos that ship inside scikit-image and scikit-learn, or a folder of your own.
"""

import argparse
import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

_SAMPLES = (("skimage", "data"), ("sklearn", "datasets/images"))
_COMMENT = b"\xff\xfe\x00\x0a%08d"  # a JPEG comment of eight digits, to stand right after the start marker
_LARGE = (4000, 3000)
_QUALITY = 88
_GRAIN = 6  # standard deviation of the noise, of 255: a phone's sensor in daylight


def small(folder: Path, count: int, width: int) -> Path:
    """Fill `folder` with `count` JPEGs of `width` x 3/4 `width`, all different, 1,000 a sub-folder."""
    pictures = [_jpeg(photo.resize((width, width * 3 // 4)), 80) for photo in _samples(None)]
    for number in range(count):
        file = folder / f"{number // 1000:04}" / f"IMG_{number % 1000:04}.jpg"
        if number % 1000 == 0:
            file.parent.mkdir(parents=True, exist_ok=True)
        picture = pictures[number % len(pictures)]
        file.write_bytes(picture[:2] + _COMMENT % number + picture[2:])
    return folder


def parts(folder: Path, count: int, width: int) -> Path:
    """Fill `folder` with `count` JPEGs of `width` x 3/4 `width`, each another part of a sample."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    samples = [photo for photo in _samples(None) if min(photo.size) >= 128]
    for number in range(count):
        photo = _part(samples, random).resize((width, width * 3 // 4), Image.Resampling.BICUBIC)
        (folder / f"IMG_{number:04}.jpg").write_bytes(_jpeg(photo, 80))
    return folder


def large(folder: Path, count: int, sources: Path | None = None) -> Path:
    """Fill `folder` with `count` different JPEGs of 12 megapixels and some megabytes.

    Each is a different part of a sample, enlarged, with smaller photos set into it for detail and with
    sensor grain, so that its bytes a pixel are those of a camera's file (about 0.3).
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_write_large, folder, sources), range(count)):
            pass
    return folder


def _write_large(folder: Path, sources: Path | None, number: int) -> None:
    random = np.random.default_rng(number)
    samples = [photo for photo in _samples(sources) if min(photo.size) >= 128]
    canvas = _part(samples, random).resize(_LARGE, Image.Resampling.BICUBIC)
    for _ in range(24):
        inset = _part(samples, random)
        size = (int(random.integers(300, 1200)), int(random.integers(300, 1200)))
        corner = (int(random.integers(0, _LARGE[0])), int(random.integers(0, _LARGE[1])))
        canvas.paste(inset.resize(size, Image.Resampling.BICUBIC), corner)
    grain = random.normal(0, _GRAIN, (_LARGE[1], _LARGE[0], 1)).astype(np.int16)
    pixels = np.clip(np.asarray(canvas, np.int16) + grain, 0, 255).astype(np.uint8)
    (folder / f"DSC_{number:05}.jpg").write_bytes(_jpeg(Image.fromarray(pixels), _QUALITY))


def _part(samples: list[Image.Image], random: np.random.Generator) -> Image.Image:
    """A random part of a random sample, at least half as wide and high."""
    photo = samples[random.integers(len(samples))]
    width, height = (int(side * random.uniform(0.5, 1)) for side in photo.size)
    left, top = int(random.integers(photo.width - width + 1)), int(random.integers(photo.height - height + 1))
    return photo.crop((left, top, left + width, top + height))


def _samples(sources: Path | None) -> list[Image.Image]:
    folders = [sources] if sources else list(_sample_folders())
    files = sorted(
        file for folder in folders for file in folder.iterdir() if file.suffix in (".jpg", ".jpeg", ".png")
    )
    return [Image.open(file).convert("RGB") for file in files[:60]]


def _sample_folders() -> Iterator[Path]:
    for package, below in _SAMPLES:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / below


def _jpeg(photo: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=quality)
    return out.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photos", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", type=int, default=0, help="how many small ones")
    parser.add_argument(
        "--width", type=int, default=640, help="width of the small ones in pixels (default 640)"
    )
    parser.add_argument("--large", type=int, default=0, help="how many of 12 megapixels")
    parser.add_argument("--sources", type=Path, help="a folder of photos to make the large ones from")
    arguments = parser.parse_args()
    if arguments.small:
        small(arguments.folder, arguments.small, arguments.width)
    if arguments.large:
        large(arguments.folder, arguments.large, arguments.sources)
