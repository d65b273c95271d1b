"""The pointing game: good heat maps win it, others do not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clipsight.core.arrays import Float32
from clipsight.explain.base import Model, Pixels, RegionExplanation, Settings
from clipsight.explain.occlusion import OcclusionRegions, OcclusionWords
from clipsight.models.preprocess import PreprocessConfig, resize_and_crop
from tests.support import pointing
from tests.support.arrays import unit
from tests.support.pictures import COLOURS

SIDE = 48
PALETTE = np.array(list(COLOURS.values()), np.int16)


class Painter:
    """A model that knows colours and nothing else: how much of each a picture has, or a text names."""

    name = "painter"
    dim = 4
    preprocessing = PreprocessConfig(size=(SIDE, SIDE))
    context_length = 77

    def preprocess(self, image: Image.Image) -> Pixels:
        return resize_and_crop(image, self.preprocessing)

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        return unit(np.array([[*_has(each).mean(axis=(0, 1)), 0.05] for each in pixels], np.float32))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        named = [[*(colour in text.split() for colour in COLOURS), 0.5] for text in texts]
        return unit(np.array(named, np.float32))

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        return (False,) * len(texts)


class Oracle:
    """Points at what has the colour of the query, or away from it."""

    def __init__(self, model: Model, settings: Settings, *, sign: float = 1.0) -> None:
        self._sign = sign

    @staticmethod
    def unsupported(model: Model) -> str | None:
        return None

    def explain_region(self, query: Float32, pixels: Pixels) -> RegionExplanation:
        colours = _has(pixels)
        asked = np.arange(len(PALETTE)) == query[:-1].argmax()
        heat = colours[..., asked].sum(axis=-1) - 1.0 * colours[..., ~asked].sum(axis=-1)
        return RegionExplanation("oracle", (self._sign * heat).astype(np.float32))


@pytest.fixture(scope="module")
def drawn() -> list[pointing.Picture]:
    rng = np.random.default_rng(0)
    return [pointing.draw(SIDE, rng) for _ in range(20)]


def test_boxes_enclose_the_objects(drawn: list[pointing.Picture]) -> None:
    for picture in drawn:
        one, other = picture.things
        assert one.colour != other.colour and one.shape != other.shape
        pixels = np.asarray(picture.image, int)
        ground = np.bincount(pixels[..., 0].ravel()).argmax()
        solid = (pixels != ground).any(axis=-1)
        for left, top, right, bottom in (one.box, other.box):
            assert solid[top, left:right].any() and solid[bottom - 1, left:right].any()
            assert solid[top:bottom, left].any() and solid[top:bottom, right - 1].any()
            solid[top:bottom, left:right] = False
        assert not solid.any()


def test_captions_name_both_objects(drawn: list[pointing.Picture]) -> None:
    picture = drawn[0]
    one, other = picture.things
    both, reverse, first, second = picture.captions()
    assert both.split(" and ") == reverse.split(" and ")[::-1]
    assert first.endswith(one.name) and second == other.name


def test_pictures_are_written_with_their_captions(tmp_path: Path) -> None:
    table = pointing.write(tmp_path, 3, SIDE, seed=0)
    lines = table.read_text().splitlines()
    assert lines[0] == "filepath,caption" and len(lines) == 1 + 3 * 4
    with Image.open(tmp_path / "00002.png") as picture:
        assert picture.size == (SIDE, SIDE)


def test_the_highest_cell_is_the_peak() -> None:
    heat = np.zeros((2, 4))
    heat[1, 2] = 1
    assert pointing.peak(heat, 48) == (36.0, 30.0)


def test_a_perfect_heat_map_always_hits_and_its_negative_never(drawn: list[pointing.Picture]) -> None:
    model = Painter()
    right = pointing.points_at(Oracle(model, Settings()), model, drawn, str)
    wrong = pointing.points_at(Oracle(model, Settings(), sign=-1.0), model, drawn, str)
    assert (right.hit, right.other) == (1.0, 0.0)
    assert (wrong.hit, wrong.other) == (0.0, 1.0)


@pytest.mark.slow
def test_chance_is_the_boxes_share_of_the_area(drawn: list[pointing.Picture]) -> None:
    things = [thing for picture in drawn for thing in picture.things]
    points = np.random.default_rng(0).uniform(0, SIDE, (4000, 2))
    hits = np.mean([[thing.holds(*point) for point in points] for thing in things])
    assert pointing.chance(things, SIDE) == pytest.approx(hits, rel=0.1)


@pytest.mark.slow
def test_occlusion_passes_both_pointing_tests_with_a_model_of_colours(drawn: list[pointing.Picture]) -> None:
    model = Painter()
    assert pointing.points_at(OcclusionRegions(model, Settings()), model, drawn[:5], str).hit >= 0.9
    assert pointing.words_won(OcclusionWords(model, Settings()), model, drawn) == 1.0


def _has(pixels: Pixels) -> NDArray[np.bool_]:
    """Which pixel has which colour: bool[H, W, colours]."""
    near: NDArray[np.bool_] = np.abs(pixels.astype(np.int16)[:, :, None] - PALETTE).max(axis=-1) < 40
    return near
