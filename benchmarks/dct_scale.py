"""How far may a JPEG be shrunk while it is decoded? The measurement behind `decode.DCT_MARGIN`.

    python -m benchmarks.dct_scale                     # the builtin model, sample photos
    python -m benchmarks.dct_scale --model FOLDER --photos ~/Pictures --limit 50

libjpeg can decode at 1/2, 1/4 or 1/8 in each direction, from fewer DCT coefficients and in less time.
What is left is then resized to the model's input. The more the scaled photo still exceeds that input
(the margin: its short side / the model's side), the closer the embedding is to that of the full decode.

For each margin and scale, JPEGs are made that are just large enough to be decoded at that scale by the
rule with that margin. Printed are the lowest and the median cosine to the embedding of the full-size
decode, over three kinds of photo: `smooth` (photos enlarged), `grain` (the same with sensor noise) and
`detail` (collages of photos at their own resolution, so sharp to the pixel). Then the CPU time of
decoding and of resizing one 12-megapixel JPEG at each scale.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from math import ceil
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

import clipsight.indexing.media.photo
from clipsight.indexing.media.photo import decode, open_picture
from clipsight.indexing.scan import has_photo_suffix
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

SAMPLES = {
    "skimage": "astronaut brick camera cell chelsea clock_motion coffee coins grass gravel "
    "hubble_deep_field ihc moon motorcycle_left retina rocket",
    "sklearn": "china flower",
}  # the photographs among what they ship; drawings, such as a chessboard, are none
SCALES = (2, 4, 8)
MARGINS = (1.0, 1.25, 1.5, 1.65, 2.0)
NOISE = 10  # standard deviation of the grain, of 255: a phone's photo at night


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dct_scale", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--model", type=Path, help="a model folder (default: the builtin model)")
    parser.add_argument("--photos", type=Path, help="a folder of photos, else samples")
    parser.add_argument("--limit", type=int, default=24, help="photos used (default 24)")
    parser.add_argument("--margins", type=float, nargs="+", default=MARGINS)
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES)
    arguments = parser.parse_args()

    builtin = Path(str(files("clipsight.models") / "builtin"))
    encoder = Encoder(ModelFolder.read(arguments.model or builtin))
    photos = load(arguments.photos, arguments.limit)
    side = max(encoder.input_size)
    print(f"{encoder.name}, input {side} pixels, {len(photos)} photos")

    print("\nCosine to the embedding of the full-size decode")
    print(f"{'margin':>6} {'scale':>5} {'kind':>7} {'lowest':>8} {'median':>8}")
    for margin in arguments.margins:
        for scale in arguments.scales:
            for kind, large in kinds(photos, short=ceil(margin * scale * side)):
                cosines = np.array([cosine(encoder, file, margin) for file in large])
                row = f"{margin:6.2f} {f'1/{scale}':>5} {kind:>7}"
                print(f"{row} {cosines.min():8.5f} {np.median(cosines):8.5f}", flush=True)

    file = jpeg(with_grain(enlarged(photos[0].crop((0, 0, 400, 300)), short=3000)))
    print(f"\nCPU ms of a 12-megapixel JPEG of {len(file) / 1e6:.1f} MB")
    print(f"{'scale':>5} {'decode':>8} {'resize':>8}")
    for scale in (1, *SCALES):
        image = scaled(file, scale)
        print(
            f"{f'1/{scale}':>5} {cpu_ms(lambda s=scale: scaled(file, s)):8.1f} "
            f"{cpu_ms(lambda i=image: encoder.preprocess(i)):8.1f}"
        )


def load(folder: Path | None, limit: int) -> list[Image.Image]:
    """Up to `limit` photos, evenly drawn from a folder, or the samples."""
    if folder is None:
        paths = [path for package, names in SAMPLES.items() for path in sample_paths(package, names.split())]
    else:
        paths = sorted(path for path in folder.rglob("*") if has_photo_suffix(os.fsencode(path.name)))
    chosen = paths[:: max(1, len(paths) // limit)][:limit]
    return [open_picture(path) for path in chosen]


def sample_paths(package: str, names: list[str]) -> list[Path]:
    """Files of these names in the `data` or `datasets/images` folder of an installed package."""
    root = files(package)
    folder = Path(str(root / "data" if package == "skimage" else root / "datasets" / "images"))
    return sorted(path for path in folder.iterdir() if path.stem in names)


def kinds(photos: list[Image.Image], short: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Large JPEGs of each kind, made one at a time; short side `short` pixels and up to 7 more."""
    uneven = [short + seed * 3 % 8 for seed in range(len(photos))]
    large = [partial(enlarged, photo, side) for photo, side in zip(photos, uneven, strict=True)]
    yield "smooth", (jpeg(make()) for make in large)
    yield "grain", (jpeg(with_grain(make())) for make in large)
    yield "detail", (jpeg(collage(photos, short + seed, seed)) for seed in range(8))


def enlarged(photo: Image.Image, short: int) -> Image.Image:
    factor = short / min(photo.size)
    size = (max(short, round(photo.width * factor)), max(short, round(photo.height * factor)))
    return photo.resize(size, Image.Resampling.LANCZOS)


def with_grain(photo: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, NOISE, (photo.height, photo.width, 3))
    return Image.fromarray((np.asarray(photo) + noise).clip(0, 255).astype(np.uint8))


def collage(photos: list[Image.Image], short: int, seed: int) -> Image.Image:
    """Photos side by side at their own resolution, 4:3."""
    page = Image.new("RGB", (short * 4 // 3, short))
    rng = np.random.default_rng(seed)
    for top in range(0, page.height, 300):
        left = 0
        while left < page.width:
            photo = photos[rng.integers(len(photos))]
            page.paste(photo.crop((0, 0, photo.width, min(300, photo.height))), (left, top))
            left += photo.width
    return page


def jpeg(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=92)
    return file.getvalue()


def scaled(file: bytes, scale: int) -> Image.Image:
    """libjpeg's decode at exactly 1/scale, whatever the rule would choose."""
    image = Image.open(io.BytesIO(file))
    image.draft(None, (image.width // scale, image.height // scale))
    image.load()
    return image


def cosine(encoder: Encoder, file: bytes, margin: float) -> float:
    """Between the embeddings of the full-size decode and of the one that the rule chooses."""
    with patch.object(clipsight.indexing.media.photo, "DCT_MARGIN", margin):
        fast = decode(file, mtime_ns=0, min_side=max(encoder.input_size)).image
    vectors = encoder.encode_images([decode(file, mtime_ns=0).image, fast])
    return float(vectors[0] @ vectors[1])


def cpu_ms(work: Callable[[], object]) -> float:
    """The least CPU time of five calls, in milliseconds."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times) * 1000


if __name__ == "__main__":
    main()
