"""Generated pictures with captions by a grammar: what a small CLIP can learn from nothing in a minute.

A scene is a choice of every attribute: one to three shapes of one kind, colour and size, at one place. Every
value of an attribute is in the training scenes, but of their combinations many are not: a model that finds
those has learnt what the words mean. For tests and `benchmarks.training`.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 160, 44),
    "blue": (38, 70, 220),
    "yellow": (240, 210, 30),
    "purple": (140, 50, 170),
    "orange": (245, 130, 20),
    "black": (15, 15, 15),
    "white": (250, 250, 250),
}
SHAPES = ("circle", "triangle", "cross", "ring", "square", "diamond")
SIZES = {"small": 0.115, "large": 0.165}
PLACES = {
    "left": (0.22, 0.5),
    "right": (0.78, 0.5),
    "top": (0.5, 0.22),
    "bottom": (0.5, 0.78),
    "middle": (0.5, 0.5),
}
COUNTS = ("one", "two", "three")


@dataclass(frozen=True, order=True)
class Scene:
    """What a picture shows."""

    count: str
    size: str
    colour: str
    shape: str
    place: str

    def captions(self) -> list[str]:
        """Some ways to say it."""
        plural = "" if self.count == "one" else "es" if self.shape == "cross" else "s"
        what = f"{self.size} {self.colour} {self.shape}{plural}"
        where = f"in the {self.place}" if self.place == "middle" else f"at the {self.place}"
        return [
            f"{self.count} {what} {where}",
            f"a picture of {self.count} {what} {where}",
            f"{where} {'is' if self.count == 'one' else 'are'} {self.count} {what}",
        ]

    def draw(self, side: int, rng: np.random.Generator) -> Image.Image:
        """A picture of side x side pixels; its greys, and where exactly things are, differ every time."""
        scale = 4  # drawn larger, for smooth edges
        grey = int(rng.integers(110, 160))
        picture = Image.new("RGB", (side * scale, side * scale), (grey, grey, grey))
        pen = ImageDraw.Draw(picture)
        radius = SIZES[self.size] * side * scale * rng.uniform(0.9, 1.1)
        colour = tuple(int(np.clip(value + rng.integers(-12, 13), 0, 255)) for value in COLOURS[self.colour])
        for x, y in self._centres(rng):
            _shape(pen, self.shape, x * side * scale, y * side * scale, radius, colour, (grey, grey, grey))
        return picture.resize((side, side), Image.Resampling.BOX)

    def _centres(self, rng: np.random.Generator) -> list[tuple[float, float]]:
        """In a row along the side they are at, in the middle in a row across."""
        count = COUNTS.index(self.count) + 1
        x, y = PLACES[self.place]
        step = 2.2 * SIZES[self.size]
        shifts = [(number - (count - 1) / 2) * step for number in range(count)]
        jitter = rng.uniform(-0.03, 0.03, size=2)
        upright = self.place in ("left", "right")
        return [
            (x + jitter[0] + (0 if upright else shift), y + jitter[1] + (shift if upright else 0))
            for shift in shifts
        ]


def scenes(**limits: int) -> list[Scene]:
    """Every combination; `colour=4` takes the first four colours only, and so on."""
    values = {"count": COUNTS, "size": SIZES, "colour": COLOURS, "shape": SHAPES, "place": PLACES}
    kept = [list(values[field.name])[: limits.get(field.name)] for field in fields(Scene)]
    return [Scene(*each) for each in product(*kept)]


def split(all_scenes: Sequence[Scene], unseen: float, seed: int = 0) -> tuple[list[Scene], list[Scene]]:
    """Scenes to train on and scenes never seen, which are the share `unseen`."""
    order = np.random.default_rng(seed).permutation(len(all_scenes))
    count = round(unseen * len(all_scenes))
    return [all_scenes[i] for i in order[count:]], [all_scenes[i] for i in order[:count]]


def write(folder: Path, chosen: Sequence[Scene], each: int, side: int, seed: int = 0) -> Path:
    """Write `each` pictures of every scene as PNG, and their captions.csv, whose path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filepath", "caption"))
        for number, scene in enumerate(chosen):
            for copy in range(each):
                name = f"{number:04}-{copy}.png"
                scene.draw(side, rng).save(folder / name)
                table.writerows((name, caption) for caption in scene.captions())
    return folder / "captions.csv"


def _shape(
    pen: ImageDraw.ImageDraw,
    name: str,
    x: float,
    y: float,
    radius: float,
    colour: tuple[int, ...],
    ground: tuple[int, ...],
) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    if name == "circle":
        pen.ellipse(box, fill=colour)
    elif name == "ring":
        pen.ellipse(box, fill=colour)
        inner = radius * 0.55
        pen.ellipse((x - inner, y - inner, x + inner, y + inner), fill=ground)
    elif name == "square":
        half = radius * 0.88
        pen.rectangle((x - half, y - half, x + half, y + half), fill=colour)
    elif name == "cross":
        arm = radius * 0.35
        pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=colour)
        pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=colour)
    else:
        corners, turn = (3, -math.pi / 2) if name == "triangle" else (4, 0)
        angles = [turn + 2 * math.pi * number / corners for number in range(corners)]
        reach = radius * 1.2
        pen.polygon([(x + reach * math.cos(a), y + reach * math.sin(a)) for a in angles], fill=colour)
