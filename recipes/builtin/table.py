"""The table of the model card: `python -m recipes.builtin.table --data DATA --model FOLDER`.

Prints one row a figure, in per cent, as it is measured. All photos are of splits that no step of the recipe
trains on, except those of ImageNet's samples, which are shown in a view that no step saw.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from recipes.command import exit_code

from .data import SEED, load_photos_with_everyday
from .evaluate import Bench
from .everyday import held_out_names, load_everyday
from .everyday_figures import (
    album_figures,
    imagenet_figures,
    label_figures,
    language_recall,
    mean_of,
    name_figures,
    word_figures,
)
from .metrics import accuracy, percent_recall

LANGUAGES = {"zh": "Chinese", "de": "German", "fr": "French", "ar": "Arabic"}
"""Languages with captions of the held-out Flickr8k photos."""


def figures(bench: Bench, split: str) -> Iterator[tuple[str, object]]:
    """The rows of the table, name and figures, as they are measured; the quick ones first."""
    by_set = label_figures(bench, split)
    yield "everyday: mean average precision of labels", mean_of(by_set, "mean_average_precision")
    yield "everyday: zero-shot top-1", mean_of(by_set, "zero_shot_top_1")
    yield "everyday: by set", by_set
    unseen = held_out_names(load_everyday(bench.data, SEED), SEED)
    held_out = label_figures(bench, split, unseen)
    yield (
        "a fifth of the names (unseen in a control run), mAP",
        mean_of(held_out, "mean_average_precision"),
    )
    yield "names find their photo", name_figures(bench, split)
    yield "album: right photo first", album_figures(bench, split)
    yield "COCO, English, R@1/5/10", percent_recall(*bench.captions("coco", split))["text_to_image"]
    yield "clothes, zero-shot", accuracy(*bench.labels("clothing", split))
    yield "scenes, zero-shot", accuracy(*bench.labels("scenes", split))
    yield "colour first of ten", accuracy(*bench.colours(split))
    yield "Flickr8k, English, R@1/5/10", percent_recall(*bench.captions("flickr", split))["text_to_image"]
    for language, name in LANGUAGES.items():
        yield f"Flickr8k, {name}, R@1/5/10", language_recall(bench, language, split)
    yield "one-word queries", word_figures(bench, split)
    yield "ImageNet samples, unseen views", imagenet_figures(bench)


def line(name: str, value: object) -> str:
    """A row of a Markdown table."""
    return f"| {name} | {_text(value)} |"


def _text(value: object) -> str:
    if isinstance(value, list):
        return " / ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)


def open_everyday(data: Path, folder: Path) -> Bench:
    """Open a benchmark of the model in `folder` on all photos, those of everyday things too."""
    return Bench(Encoder(ModelFolder.read(folder)), data, load_photos_with_everyday(data))


def print_figures(bench: Bench, split: str) -> dict[str, object]:
    """Print the table, each row as soon as it is measured; return its figures."""
    rows = {}
    for name, value in figures(bench, split):
        rows[name] = value
        print(line(name, value), flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or with --json its figures; return 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.builtin.table", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds everyday/")
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_table(options.data, options.model, options.split, as_json=options.json))


def _print_table(data: Path, model: Path, split: str, *, as_json: bool) -> None:
    bench = open_everyday(data, model)
    if as_json:
        print(json.dumps(dict(figures(bench, split)), indent=2, ensure_ascii=False))
    else:
        print_figures(bench, split)


if __name__ == "__main__":
    sys.exit(main())
