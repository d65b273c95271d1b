"""How well, and how fast, does `clipsight duplicates` find copies? The measurement behind its thresholds.

    python -m benchmarks.duplicates accuracy PHOTOS [--count 1000] [--changed 100] [--min-side 1]
    python -m benchmarks.duplicates scale WORK [--count 1000000]

`accuracy` embeds photos, and copies of some of them: smaller, compressed again, cropped, turned. Recall is
the share of copies whose cosine with their photo reaches a threshold. A pair of different photos that reaches
it is false; precision is that of all pairs found where each photo has one copy of the kind. Photos that are
truly alike (one dog run, photographed twice) count as false.

`scale` fills a library with synthetic vectors that lie as real ones do (`synthetic.structured`), of which one
in twenty is close to another, and finds its groups.
"""

import argparse
import io
import random
import resource
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import measure, synthetic

_THRESHOLDS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
_BATCH = 32
_DIM = 256
_PAIR_EVERY = 20
Floats = NDArray[np.float32]
Change = Callable[[Image.Image], Image.Image]


def _size(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def _recompressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = (round(side * (1 - share)) for side in image.size)
    place = random.Random(image.tobytes()[:64])
    left, top = place.randint(0, image.width - width), place.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _smaller(image: Image.Image, factor: int) -> Image.Image:
    return image.resize((image.width // factor, image.height // factor), Image.Resampling.LANCZOS)


CHANGES: dict[str, Change] = {
    "half the size": lambda image: _smaller(image, 2),
    "a quarter of the size": lambda image: _smaller(image, 4),
    "JPEG of quality 50": lambda image: _recompressed(image, 50),
    "JPEG of quality 20": lambda image: _recompressed(image, 20),
    "cropped by 5 % a side": lambda image: _cropped(image, 0.05),
    "cropped by 10 % a side": lambda image: _cropped(image, 0.10),
    "cropped by 20 % a side": lambda image: _cropped(image, 0.20),
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter by a fifth": lambda image: image.point(lambda value: min(255, int(1.2 * value))),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.duplicates", description=__doc__.splitlines()[0]
    )
    parts = parser.add_subparsers(dest="part", required=True)
    accuracy = parts.add_parser("accuracy")
    accuracy.add_argument("photos", type=Path)
    accuracy.add_argument("--count", type=int, default=1000)
    accuracy.add_argument("--changed", type=int, default=100)
    accuracy.add_argument("--model", default="builtin")
    accuracy.add_argument("--min-side", type=int, default=1, help="only photos of so many pixels a side")
    scale = parts.add_parser("scale")
    scale.add_argument("work", type=Path)
    scale.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.part == "accuracy":
        print_accuracy(
            arguments.photos, arguments.count, arguments.changed, arguments.model, arguments.min_side
        )
    else:
        print_scale(arguments.work, arguments.count)


def print_accuracy(folder: Path, count: int, changed: int, model: str, min_side: int) -> None:
    from clipsight import Encoder
    from clipsight.indexing.media.photo import open_picture
    from clipsight.indexing.scan import photos_in

    files = [file for file in photos_in(folder) if min(_size(file)) >= min_side]
    random.Random(0).shuffle(files)
    encoder = Encoder.open(model)

    def embed(
        files: list[Path], change: Callable[[Image.Image], Image.Image] = lambda image: image
    ) -> Floats:
        parts = [
            encoder.encode_images([change(open_picture(file)) for file in files[at : at + _BATCH]])
            for at in range(0, len(files), _BATCH)
        ]
        return np.concatenate(parts)

    photos = embed(files[:count])
    cosines = np.triu(photos @ photos.T, 1)
    false = [int((cosines >= threshold).sum()) / len(photos) for threshold in _THRESHOLDS]
    rows = [["different photos: pairs a photo", *(f"{share:.4f}" for share in false)]]
    for name, change in CHANGES.items():
        copies = embed(files[:changed], change)
        same = (copies * photos[: len(copies)]).sum(1)
        shares = []
        for threshold, wrong in zip(_THRESHOLDS, false, strict=True):
            recall = float((same >= threshold).mean())
            precision = recall / (recall + wrong) if recall else float("nan")
            shares.append(f"{recall:.2f} ({precision:.2f})")
        rows.append([name, *shares])
    tried = f"{len(photos)} photos, {min(changed, len(photos))} of them changed, {encoder.name}"
    print(f"{tried}: recall (precision) by cosine\n")
    measure.print_table(["", *(f"{threshold:.2f}" for threshold in _THRESHOLDS)], rows)


def print_scale(work: Path, count: int) -> None:
    from clipsight.search.duplicates import DuplicateOptions, find_duplicates
    from clipsight.store.catalog import Catalog

    library = work / f"copies-{count}"
    if not library.exists():
        _fill(library, count)
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        assert model is not None
        started, before, stages = time.monotonic(), time.process_time(), {}

        def note(stage: str, done: int, total: int | None) -> None:
            stages[stage] = time.monotonic() - started

        found = find_duplicates(catalog, model, (), DuplicateOptions(kinds=("exact", "same")), note)
        seconds, busy = time.monotonic() - started, time.process_time() - before
    pairs = sum(1 for group in found for photo in group.others if abs(photo.id - group.keep.id) == 1)
    measure.print_machine("faiss-cpu", "numpy")
    measure.print_table(
        ["photos", "seconds", "of CPU", "reading vectors", "groups", "pairs made", "of these found"],
        [
            [
                f"{count:,}",
                f"{seconds:.0f}",
                f"{busy:.0f}",
                f"{stages.get('reading vectors', 0):.0f}",
                f"{found.total:,}",
                f"{count // _PAIR_EVERY:,}",
                f"{pairs:,}",
            ]
        ],
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


def _fill(library: Path, count: int) -> None:
    """A library whose photos 1 and 2, 21 and 22... are pairs of cosine 0.98."""
    from clipsight.store.catalog import Catalog
    from clipsight.store.records import FileStat, PhotoInfo

    noise = np.random.default_rng(1)
    seeds = next(synthetic.unit_vectors(5000, _DIM))
    with closing(Catalog(library)) as catalog:
        model = catalog.add_model("a" * 64, "synthetic", "builtin", _DIM)
        catalog.set_current_model(model)
        number = 0
        for vectors in synthetic.structured(seeds, count):
            firsts = vectors[::_PAIR_EVERY]
            seconds = vectors[1::_PAIR_EVERY]
            seconds[:] = firsts + 0.2 / np.sqrt(_DIM) * noise.standard_normal(firsts.shape, np.float32)
            seconds /= np.linalg.norm(seconds, axis=1, keepdims=True)
            with catalog.transaction():
                for vector in vectors:
                    file = FileStat(b"/photos/%04d" % (number // 1000), b"%07d.jpg" % number, 1, 1, 1)
                    photo = catalog.put_photo(file, number.to_bytes(16), PhotoInfo(640, 480, "JPEG"))
                    catalog.put_vector(photo, model, vector)
                    number += 1


if __name__ == "__main__":
    main()
