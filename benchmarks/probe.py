"""What probes reach: from few photos, from all, and started from zero-shot weights.

    python -m benchmarks.probe DATA WORK [--model builtin] [--draws 20]

DATA is the folder that holds `clothing/`, `scenes/` and `products/`; WORK keeps the embeddings for another
run. The builtin model has learned from some of these photos, with captions made of their classes, so three
splits are measured, each with everything chosen from its own training photos:

    recipe   train and test of `recipes.builtin.data.assign_splits`: the model has not seen the test photos
    unseen   shots drawn from the recipe's test photos, tested on the rest of them: it has seen neither
    own      a fifth held out at random, as `clipsight probe fit` does: it has seen most of both

Colours are those ten of products that are most frequent among the recipe's dev and test photos, and are
measured on these alone. `from zero-shot` is `--alpha auto`. The last column is its accuracy less that of the
better of zero-shot and the plain probe, with the standard error that comes of so many test photos.
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import measure
from clipsight import Library
from clipsight.classification.dataset import LabelledFiles, LabelledVectors, read_labelled
from clipsight.classification.prompts import load_templates
from clipsight.classification.splits import sample_shots, train_test_split
from clipsight.probe.embedding import embed_labelled
from clipsight.probe.few_shot import shots_up_to
from clipsight.probe.head import Head, zero_shot_head
from clipsight.probe.logistic import fit_head
from recipes.builtin.data import assign_splits
from recipes.builtin.evaluate import PROMPTS

_COLLECTIONS = ("clothing", "scenes")
_UNSEEN_SHOTS = (1, 2, 4, 8)
_COLOUR = "a photo of {} product"
_HEADING = ("photos a class", "zero-shot", "probe", "from zero-shot", "over the better")

Draw = tuple[LabelledVectors, LabelledVectors]
"""Photos to learn from and photos to test on."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path, help="a folder for the library")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--draws", type=int, default=20, help="for each number of shots (default 20)")
    arguments = parser.parse_args()
    measure.print_machine("scikit-learn", "scipy", "numpy")
    draws = arguments.draws
    with Library.open(arguments.work / "library", arguments.model) as library:
        for name in _COLLECTIONS:
            photos = embed_labelled(read_labelled(arguments.data / name), library)
            words = zero_shot_head(photos.classes, library.encoder, load_templates(None, [PROMPTS[name]]))
            train, test = _recipe_split(photos, name)
            _print_curve(f"{name}, recipe", train, test, words, draws)
            _print_unseen(f"{name}, unseen", test, words, _UNSEEN_SHOTS, draws)
            _print_curve(f"{name}, own", *train_test_split(photos), words, draws)
        photos = embed_labelled(_colours(arguments.data / "products"), library)
        words = zero_shot_head(photos.classes, library.encoder, load_templates(None, [_COLOUR]))
        _print_unseen("colours, unseen", photos, words, (*_UNSEEN_SHOTS, 16), draws)


def _recipe_split(photos: LabelledVectors, source: str) -> Draw:
    names = [f"{path.parent.name}/{path.name}" for path in photos.paths]
    splits = assign_splits(names, source)
    of = np.array([splits[name] for name in names])
    return photos.subset(np.flatnonzero(of == "train")), photos.subset(np.flatnonzero(of == "test"))


def _colours(folder: Path) -> LabelledFiles:
    """The products that the recipe does not train on, by colour."""
    with (folder / "products.csv").open(newline="", encoding="utf-8") as file:
        colour_of = {row["filepath"]: row["colour"] for row in csv.DictReader(file)}
    splits = assign_splits(colour_of, "products")
    held_out = {name: colour for name, colour in colour_of.items() if splits[name] != "train"}
    classes = sorted(colour for colour, _ in Counter(held_out.values()).most_common(10))
    chosen = sorted(name for name, colour in held_out.items() if colour in classes)
    labels = np.array([classes.index(held_out[name]) for name in chosen])
    return LabelledFiles(tuple(classes), tuple((folder / name).absolute() for name in chosen), labels)


def _print_curve(title: str, train: LabelledVectors, test: LabelledVectors, words: Head, draws: int) -> None:
    """Shots drawn from `train`, then all of it, tested on `test`."""
    rows = []
    for shots in shots_up_to(train):
        samples = (sample_shots(train, shots, seed=(shots, draw))[0] for draw in range(draws))
        rows.append(_row(str(shots), ((sample, test) for sample in samples), words))
    rows.append(_row("all", [(train, test)], words))
    _print(title, rows)


def _print_unseen(title: str, pool: LabelledVectors, words: Head, shots: Sequence[int], draws: int) -> None:
    """Shots drawn from `pool`, tested on the rest of it; so is zero-shot."""

    def drawn(count: int) -> Iterator[Draw]:
        for draw in range(draws):
            yield sample_shots(pool, count, seed=(count, draw))

    _print(title, [_row(str(count), drawn(count), words) for count in shots])


def _row(name: str, draws: "Sequence[Draw] | Iterator[Draw]", words: Head) -> tuple[str, ...]:
    """Accuracies over the draws; zero-shot, plain probe and the one from zero-shot, in this order."""
    accuracies = []
    right_of: dict[Path, list[list[bool]]] = defaultdict(list)
    for train, test in draws:
        plain, tuned = (fit_head(train.vectors, train.labels, words, alpha) for alpha in (None, "auto"))
        heads = (words, plain.head, tuned.head)
        right = np.array([head.logits(test.vectors).argmax(1) == test.labels for head in heads])
        accuracies.append(right.mean(1))
        for path, column in zip(test.paths, right.T.tolist(), strict=True):
            right_of[path].append(column)
    means, deviations = np.mean(accuracies, axis=0), np.std(accuracies, axis=0)
    better = int(means[:2].argmax())
    # How often a photo is right with the one and with the other, over the draws in which it was tested.
    shares = np.array([np.mean(columns, axis=0) for columns in right_of.values()])
    error = (shares[:, 2] - shares[:, better]).std() / np.sqrt(len(shares))
    return (
        name,
        f"{means[0]:.3f}",
        *(f"{means[each]:.3f} ± {deviations[each]:.3f}" for each in (1, 2)),
        f"{means[2] - means[better]:+.3f} ± {error:.3f}",
    )


def _print(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    print(f"\n{title}\n")
    measure.print_table(_HEADING, rows)


if __name__ == "__main__":
    main()
