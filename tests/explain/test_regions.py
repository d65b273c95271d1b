"""Regions by occlusion: the place that makes the score is found, within the cost."""

import math

import numpy as np
import pytest

from clipsight.explain.protocol import RegionExplanation, Settings
from clipsight.explain.regions import GRID, LEVELS, OcclusionRegions, covered, mean_colour, mean_over, windows
from tests.explain.fake import DIM, FakeModel, photo_of


def query_for(number: int) -> np.ndarray:
    query = np.zeros(DIM, np.float32)
    query[number] = 1
    return query


def explained(number: int, model: FakeModel, cost: int = 100) -> RegionExplanation:
    return OcclusionRegions(model, Settings(cost=cost)).explain_region(query_for(number), photo_of(230, 230))


@pytest.mark.parametrize(("number", "quarter"), [(0, (0, 0)), (1, (1, 1))])
def test_the_place_that_makes_the_score_is_hot(number: int, quarter: tuple[int, int]) -> None:
    heat = explained(number, FakeModel()).heat
    assert heat.shape == (GRID, GRID) and heat.dtype == np.float32 and np.isfinite(heat).all()
    peak = np.unravel_index(int(heat.argmax()), heat.shape)
    assert tuple(int(place) * 2 // GRID for place in peak) == quarter


def test_what_lowers_the_score_is_below_zero() -> None:
    heat = explained(0, FakeModel()).heat
    half = GRID // 2
    assert heat[half + 3 :, half + 3 :].max() < 0 < heat[: half - 3, : half - 3].min()


@pytest.mark.parametrize("cost", [64, 100, 250])
def test_the_cost_bounds_the_photos(cost: int) -> None:
    model = FakeModel()
    explained(0, model, cost)
    assert model.photos == cost + 1


def test_a_cost_above_all_windows_takes_each_once() -> None:
    model = FakeModel()
    explained(0, model, 10_000)
    assert model.photos == 1 + sum(len(windows(*level)) for level in LEVELS)


@pytest.mark.parametrize("level", LEVELS)
def test_every_cell_is_under_as_many_windows(level: tuple[int, int]) -> None:
    counts = np.sum(windows(*level), axis=0)
    side, step = level
    assert counts.min() == (side // step) ** 2
    assert counts.max() == math.ceil(side / step) ** 2


def test_cells_cover_all_pixels_of_any_size() -> None:
    pixels, cover = np.zeros((17, 23, 3), np.uint8), np.full((17, 23, 3), 255, np.uint8)
    assert covered(pixels, cover, np.ones((GRID, GRID), np.bool_)).min() == 255
    left = np.zeros((2, 2), np.bool_)
    left[:, 0] = True
    assert covered(pixels, cover, left)[..., 0].sum(axis=1).tolist() == [12 * 255] * 17


def test_a_mean_is_over_the_windows_that_cover_a_cell() -> None:
    one, both = np.zeros((GRID, GRID), np.bool_), np.zeros((GRID, GRID), np.bool_)
    one[0, 0] = both[0, 0] = both[0, 1] = True
    mean = mean_over([one, both], np.array([1.0, 3.0]))
    assert mean[0, :3].tolist() == [2, 3, 0]


def test_a_photo_of_nothing_has_no_heat() -> None:
    model = FakeModel()
    pixels = mean_colour(photo_of(9, 99))
    heat = OcclusionRegions(model, Settings()).explain_region(query_for(0), pixels).heat
    assert np.abs(heat).max() < 1e-6


def test_another_cover_is_used() -> None:
    seen = []
    explainer = OcclusionRegions(FakeModel(), Settings(), cover=lambda pixels: seen.append(1) or pixels)
    assert np.abs(explainer.explain_region(query_for(0), photo_of(9, 99)).heat).max() < 1e-6
    assert seen == [1]


def test_progress_is_told() -> None:
    seen: list[tuple[str, int, int]] = []
    settings = Settings(progress=lambda *step: seen.append(step))
    OcclusionRegions(FakeModel(), settings).explain_region(query_for(0), photo_of(9, 99))
    assert all(what == "region" and done <= total for what, done, total in seen)
    assert seen[-1][1] == seen[-1][2]
