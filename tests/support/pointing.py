"""The pointing game on generated pictures: does a heat map for "red circle" peak on the red circle?

Zhang et al. 2018 (Top-down neural attention by excitation backprop, IJCV 126): a hit is a map whose highest
point lies in the named thing's box. Every picture here shows two things that differ in colour and in shape,
at two of nine places. For tests and `benchmarks.pointing`, which trains the model that is asked.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.explain.base import Model, RegionExplainer, WordExplainer
from clipsight.explain.text_segments import split
from tests.support import pictures

Box = tuple[int, int, int, int]

# Off the corner's colour by more than this, a pixel is a thing's; less is its smooth edge.
_DIFFERENT = 24
_ROWS = 3
_JITTER = 0.03


@dataclass(frozen=True)
class Thing:
    """One of the things a picture shows, and its box: left, top, right, bottom, in pixels."""

    colour: str
    shape: str
    box: Box

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"

    def holds(self, row: float, column: float) -> bool:
        left, top, right, bottom = self.box
        return top <= row < bottom and left <= column < right


@dataclass(frozen=True)
class Score:
    """Shares of the heat maps that peak on the thing asked for, and on the other one."""

    hit: float
    other: float


@dataclass(frozen=True)
class Picture:
    """A picture and the two things that are all there is in it."""

    image: Image.Image
    things: tuple[Thing, Thing]

    def captions(self) -> list[str]:
        """Both things in both orders, and each by itself, with and without an article."""
        one, other = (thing.name for thing in self.things)
        both = (
            f"{with_article(one)} and {with_article(other)}",
            f"{with_article(other)} and {with_article(one)}",
        )
        return [*both, with_article(one), other]


def draw(side: int, rng: np.random.Generator) -> Picture:
    """A picture of side x side pixels with two things of different colours and shapes."""
    colours = rng.choice(list(pictures.COLOURS), 2, replace=False).tolist()
    shapes = rng.choice(list(pictures.SHAPES), 2, replace=False).tolist()
    places = rng.choice(_ROWS**2, 2, replace=False).tolist()
    canvas = np.full((side, side, 3), rng.integers(110, 160), np.uint8)
    one, other = (_put(canvas, *each, rng) for each in zip(colours, shapes, places, strict=True))
    return Picture(Image.fromarray(canvas), (one, other))


def write(folder: Path, count: int, side: int, seed: int) -> Path:
    """`count` pictures as PNG, and their captions.csv, whose path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filepath", "caption"))
        for number in range(count):
            picture = draw(side, rng)
            picture.image.save(folder / f"{number:05}.png")
            table.writerows((f"{number:05}.png", caption) for caption in picture.captions())
    return folder / "captions.csv"


def points_at(
    explainer: RegionExplainer, model: Model, drawn: Sequence[Picture], say: Callable[[str], str]
) -> Score:
    """Ask for both things of every picture by what `say` makes of its name."""
    hits = others = 0
    for picture in drawn:
        pixels = model.preprocess(picture.image)
        queries = model.encode_texts([say(thing.name) for thing in picture.things])
        for query, thing, other in zip(queries, picture.things, picture.things[::-1], strict=True):
            row, column = peak(explainer.explain_region(query, pixels).heat, picture.image.width)
            hits += thing.holds(row, column)
            others += other.holds(row, column)
    return Score(hits / (2 * len(drawn)), others / (2 * len(drawn)))


def words_won(explainer: WordExplainer, model: Model, drawn: Sequence[Picture]) -> float:
    """How often the words of a thing that is there have more of the score than those of one that is not.

    The query names both, the one that is there first and last in turn; colours and shapes all differ.
    """
    won = 0
    for number, picture in enumerate(drawn):
        there, absent = picture.things[0].name, _absent(picture, number)
        names = [there, absent] if number % 2 else [absent, there]
        text = " and ".join(map(with_article, names))
        shares = explainer.explain_words(text, split(text), model.preprocess(picture.image)).words
        total = {
            name: sum(each.contribution for each in shares if each.word in name.split()) for name in names
        }
        won += total[there] > total[absent]
    return won / len(drawn)


def peak(heat: npt.NDArray[np.floating[Any]], side: int) -> tuple[float, float]:
    """Row and column, in the picture's pixels, of the middle of the highest cell of float[rows,columns]."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return (row + 0.5) * side / heat.shape[0], (column + 0.5) * side / heat.shape[1]


def chance(asked: Sequence[Thing], side: int) -> float:
    """How often a point drawn at random hits: the mean share of the things' boxes."""
    return float(np.mean([(t.box[2] - t.box[0]) * (t.box[3] - t.box[1]) for t in asked])) / side**2


def with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _absent(picture: Picture, number: int) -> str:
    """A thing whose colour and shape are none of the picture's."""
    colours = [each for each in pictures.COLOURS if each not in {thing.colour for thing in picture.things}]
    shapes = [each for each in pictures.SHAPES if each not in {thing.shape for thing in picture.things}]
    return f"{colours[number % len(colours)]} {shapes[number % len(shapes)]}"


def _put(
    canvas: npt.NDArray[np.uint8], colour: str, shape: str, place: int, rng: np.random.Generator
) -> Thing:
    """Draw a thing at about the middle of one of the places."""
    side = len(canvas)
    alone = np.asarray(pictures.Scene("one", "small", colour, shape, "middle").draw(side, rng))
    solid = np.abs(alone.astype(int) - alone[0, 0]).max(axis=2) > _DIFFERENT
    rows, columns = (np.flatnonzero(solid.any(axis=axis)) for axis in (1, 0))
    cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    height, width = solid[cut].shape
    down, across = (np.array(divmod(place, _ROWS)) + 0.5) / _ROWS + rng.uniform(-_JITTER, _JITTER, size=2)
    top = int(np.clip(round(down * side - height / 2), 0, side - height))
    left = int(np.clip(round(across * side - width / 2), 0, side - width))
    canvas[top : top + height, left : left + width][solid[cut]] = alone[cut][solid[cut]]
    return Thing(colour, shape, (left, top, left + width, top + height))
