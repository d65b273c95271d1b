"""Are explanations faithful, and what do they cost?

    python -m benchmarks.explain [--photos FOLDER] [--methods occlusion,grad-cam] [--model builtin]

Faithfulness is measured by deletion and insertion (Petsiuk et al. 2018, RISE, arXiv:1806.07421): places (or
words) are covered (left out) from the most important on, or added in that order to nothing; the mean score on
the way is low for the one and high for the other if the order is right. The table gives insertion - deletion,
and for how many photos it is higher than the mean of random orders by every measure. Places are covered with
the grey of normalisation and, for a second opinion, with the photo's own blur; `occlusion` uses neither.
Without FOLDER (photos with `captions.csv`: filepath,caption) the photos are those that ship inside
scikit-image and scikit-learn, with a caption each written here.

`foils` is a check that leaves no words out: the longest word of a caption becomes a thing that the photo does
not show; how often is its share the lowest? Leaving words out is compared there with putting others in place.

Cost: what is embedded in batches on all cores against one at a time, as ratios of pairs run in turn.

The pointing game, on pictures where the truth is known: `python -m benchmarks.pointing`.
"""

import argparse
import csv
import importlib.util
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from clipsight.core.arrays import Float32
from clipsight.explain.base import Model, Pixels, Settings
from clipsight.explain.explanation import explainers
from clipsight.explain.occlusion import OcclusionRegions, OcclusionWords, apply_mask, draw_masks, mean_colour
from clipsight.explain.onnx_model import OnnxModel
from clipsight.explain.registry import METHODS
from clipsight.explain.text_segments import Word, keep, split
from clipsight.indexing.media.photo import open_picture
from clipsight.models import registry
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

SAMPLES = {
    "skimage/data/astronaut.png": "a smiling astronaut in an orange suit before an american flag",
    "skimage/data/chelsea.png": "close up of the face of a ginger cat",
    "skimage/data/coffee.png": "a cup of coffee with a spoon on a wooden table",
    "skimage/data/motorcycle_left.png": "a motorcycle in a garage full of tools",
    "skimage/data/rocket.jpg": "a rocket on a launch pad between towers at night",
    "skimage/data/hubble_deep_field.jpg": "many distant galaxies in the dark sky",
    "sklearn/datasets/images/china.jpg": "a chinese temple with a curved roof and trees",
    "sklearn/datasets/images/flower.jpg": "a purple flower with a yellow centre before green leaves",
}

FOILS = ("bicycle", "elephant", "pizza", "aeroplane", "piano", "umbrella", "giraffe", "laptop")

_STEPS = 8
_GRID = 16
_ORDERS = 3
_LARGE = (4000, 3000)


@dataclass(frozen=True)
class Sample:
    """A photo as the model sees it, and words that fit it."""

    pixels: Pixels
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explain", description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with photos and captions.csv")
    parser.add_argument("--count", type=int, default=12, help="photos of the folder, drawn at random")
    parser.add_argument("--methods", default="occlusion,grad-cam", help="names, with commas")
    parser.add_argument(
        "--model", default="builtin", help="a model folder, or PyTorch's weights (needs [train])"
    )
    parser.add_argument("--times", type=int, default=5, help="rounds of the timing; 0 leaves it out")
    arguments = parser.parse_args()
    measure.print_machine("numpy", "onnxruntime")
    model = _model(arguments.model)
    samples = _samples(model, arguments.photos, arguments.count)
    methods = arguments.methods.split(",")
    print(f"model {model.name}, {len(samples)} photos\n")
    measure.print_table(
        ("places, insertion - deletion by", "grey", "blur", "better than random"),
        _places(model, samples, [name for name in methods if METHODS[name].regions]),
    )
    print()
    measure.print_table(
        ("words", "insertion - deletion", "better than random"),
        _words(model, samples, [name for name in methods if METHODS[name].words]),
    )
    print()
    measure.print_table(("foils", "lowest share"), _foils(model, samples))
    if arguments.times:
        print()
        measure.print_table(
            ("batched, times one at a time", "ratio"), _batching(model, samples[0], arguments.times)
        )


# -- places ----------------------------------------------------------------------------


def _places(model: Model, samples: Sequence[Sample], methods: Sequence[str]) -> list[tuple[str, ...]]:
    """A row a method, then the random orders."""
    covers = {"grey": partial(grey, mean=model.preprocessing.mean), "blur": blur}
    heats: dict[str, Callable[[Float32, Pixels], NDArray[np.float32]]] = {}
    for name in methods:
        explainer = explainers(name, model)[1]
        if explainer[0].name == name:
            heats[name] = lambda query, pixels, kind=explainer[1]: (
                kind(model, Settings()).explain_region(query, pixels).heat
            )
    for name, cover in covers.items():
        heats[f"occlusion, covering with {name}"] = lambda query, pixels, cover=cover: (
            OcclusionRegions(model, Settings(), cover=cover).explain_region(query, pixels).heat
        )
    found: dict[str, list[list[float]]] = {name: [] for name in (*heats, "random")}
    rng = np.random.default_rng(0)
    for sample in samples:
        query = model.encode_texts([sample.text])[0]
        chance = [rng.random((8, 8)).astype(np.float32) for _ in range(_ORDERS)]
        orders = {name: [find(query, sample.pixels)] for name, find in heats.items()} | {"random": chance}
        for name, each in orders.items():
            found[name].append(
                [
                    statistics.mean(_gap(model, sample.pixels, query, heat, cover) for heat in each)
                    for cover in covers.values()
                ]
            )
    return _rows(found)


def _gap(
    model: Model, pixels: Pixels, query: Float32, heat: NDArray[np.float32], cover: Callable[[Pixels], Pixels]
) -> float:
    """Insertion - deletion: the mean score of the best places alone, minus that of all the others."""
    from PIL import Image

    even = np.asarray(Image.fromarray(heat).resize((_GRID, _GRID), Image.Resampling.BILINEAR))
    order = np.argsort(-even, axis=None, kind="stable")
    filled, photos = cover(pixels), []
    for step in range(1, _STEPS):
        best = np.zeros(_GRID * _GRID, np.bool_)
        best[order[: step * _GRID * _GRID // _STEPS]] = True
        mask = best.reshape(_GRID, _GRID)
        photos += [apply_mask(pixels, filled, ~mask), apply_mask(pixels, filled, mask)]
    scores = model.encode_pixels(photos) @ query
    return float(scores[::2].mean() - scores[1::2].mean())


def grey(pixels: Pixels, mean: Sequence[float]) -> Pixels:
    """The even colour that normalisation makes 0: `mean` is per channel, of values in 0..1."""
    return np.broadcast_to((np.array(mean) * 255).round().astype(np.uint8), pixels.shape)


def blur(pixels: Pixels) -> Pixels:
    """The photo with nothing left but the colour round about each place."""
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(max(pixels.shape[:2]) / 8)))


# -- words -----------------------------------------------------------------------------


def _words(model: Model, samples: Sequence[Sample], methods: Sequence[str]) -> list[tuple[str, ...]]:
    """A row a method, then the words' length, and random orders."""
    found: dict[str, list[list[float]]] = {}
    rng = random.Random(0)
    for sample in samples:
        words = split(sample.text)
        photo = model.encode_pixels([sample.pixels])[0]
        orders: dict[str, list[list[float]]] = {}
        for name in methods:
            explainer = explainers(name, model)[0]
            if explainer[0].name == name:
                told = explainer[1](model, Settings()).explain_words(sample.text, words, sample.pixels)
                orders[name] = [[share.contribution for share in told.words]]
                if any(share.leave_one_out is not None for share in told.words):
                    orders[f"{name}, each word singly"] = [
                        [share.leave_one_out or 0.0 for share in told.words]
                    ]
        orders["length of the word"] = [[float(len(word.text)) for word in words]]
        orders["random"] = [[rng.random() for _ in words] for _ in range(_ORDERS)]
        for name, each in orders.items():
            gaps = [_word_gap(model, sample.text, words, photo, shares) for shares in each]
            found.setdefault(name, []).append([statistics.mean(gaps)])
    return _rows(found)


def _word_gap(
    model: Model, text: str, words: Sequence[Word], photo: Float32, shares: Sequence[float]
) -> float:
    order = sorted(range(len(words)), key=lambda place: -shares[place])
    texts = []
    for step in range(1, len(words)):
        best = set(order[:step])
        texts += [
            keep(text, words, [(place in best) is inside for place in range(len(words))])
            for inside in (True, False)
        ]
    scores = model.encode_texts(texts) @ photo
    return float(scores[::2].mean() - scores[1::2].mean())


def _foils(model: Model, samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    """How often a word that does not belong has the lowest share: left out, or another word in its place."""
    rng = random.Random(1)
    blanks = {"left out": "", "replaced by 'thing'": "thing", "replaced by '[UNK]'": "[UNK]"}
    hits = dict.fromkeys((*blanks, "random"), 0)
    for sample in samples:
        words = split(sample.text)
        place = max(range(len(words)), key=lambda at: (len(words[at].text), rng.random()))
        word = words[place]
        foil = rng.choice([each for each in FOILS if each not in sample.text])
        text = f"{sample.text[: word.start]}{foil}{sample.text[word.end :]}"
        for name, blank in blanks.items():
            told = OcclusionWords(model, Settings(), blank=blank).explain_words(
                text, split(text), sample.pixels
            )
            shares = [share.contribution for share in told.words]
            hits[name] += shares.index(min(shares)) == place
        hits["random"] += rng.randrange(len(words)) == place
    return [(name, f"{count}/{len(samples)}") for name, count in hits.items()]


# -- cost ------------------------------------------------------------------------------


def _batching(model: Model, sample: Sample, times: int) -> list[tuple[str, ...]]:
    """Changed texts and photos in batches, against each by itself: the median ratio of pairs run in turn.

    A photo of the model's size gains as much as there are cores, for one convolution keeps a core busy. A
    large one is changed and then made small each time, or made small once.
    """
    from PIL import Image

    words = split(sample.text)
    rng = random.Random(2)
    texts = sorted(
        {keep(sample.text, words, [rng.random() < 0.5 for _ in words]) for _ in range(64)}, key=len
    )
    masks = draw_masks(16, np.random.default_rng(0))
    filled = mean_colour(sample.pixels)
    photos = [apply_mask(sample.pixels, filled, mask) for mask in masks]
    large = np.asarray(Image.fromarray(sample.pixels).resize(_LARGE, Image.Resampling.BICUBIC))
    large_filled = mean_colour(large)

    def each_by_itself() -> None:
        for mask in masks:
            changed = Image.fromarray(apply_mask(large, large_filled, mask))
            model.encode_pixels([model.preprocess(changed)])

    def cut_once() -> None:
        pixels = model.preprocess(Image.fromarray(large))
        model.encode_pixels([apply_mask(pixels, mean_colour(pixels), mask) for mask in masks])

    return [
        (
            "texts",
            _ratio(
                lambda: [model.encode_texts([text]) for text in texts],
                lambda: model.encode_texts(texts),
                times,
            ),
        ),
        (
            "photos, of the model's size",
            _ratio(
                lambda: [model.encode_pixels([photo]) for photo in photos],
                lambda: model.encode_pixels(photos),
                times,
            ),
        ),
        ("photos of 12 megapixels", _ratio(each_by_itself, cut_once, times)),
    ]


def _ratio(slow: Callable[[], object], fast: Callable[[], object], times: int) -> str:
    ratios = []
    for _ in range(times + 1):  # the first pair warms up
        seconds = []
        for run in (slow, fast):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return f"{statistics.median(ratios[1:]):.2f}"


# -- what they work on -------------------------------------------------------------------


def _model(name: str) -> Model:
    path = Path(name).expanduser()
    if path.exists() and not (path / "visual" / "model.onnx").exists():
        from clipsight.explain.torch_methods.model import open_checkpoint

        return open_checkpoint(name)
    return OnnxModel(Encoder(ModelFolder.read(registry.locate(name))))


def _samples(model: Model, folder: Path | None, count: int) -> list[Sample]:
    if folder is None:
        captions = {_shipped(name): text for name, text in SAMPLES.items()}
    else:
        with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
            found = {row["filepath"]: row["caption"] for row in csv.DictReader(file)}
        chosen = random.Random(0).sample(sorted(found), count)
        captions = {folder / name: found[name] for name in chosen}
    side = max(model.preprocessing.size)
    return [
        Sample(model.preprocess(open_picture(path, min_side=side)), " ".join(text.split()))
        for path, text in captions.items()
    ]


def _shipped(name: str) -> Path:
    package, rest = name.split("/", 1)
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / rest


def _rows(found: dict[str, list[list[float]]]) -> list[tuple[str, ...]]:
    """Mean gaps, and how many of the photos each order is better on than random ones, by all measures."""
    chance = np.array(found["random"])
    rows = []
    for name, gaps in found.items():
        better = int((np.array(gaps) > chance).all(axis=1).sum())
        means = (f"{value:+.3f}" for value in np.mean(gaps, axis=0))
        rows.append((name, *means, "" if name == "random" else f"{better}/{len(gaps)}"))
    return rows


if __name__ == "__main__":
    main()
