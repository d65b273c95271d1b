"""Regions by occlusion: the place that determines the score is found, within the cost."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from clipsight.explain.base import Pixels, RegionExplanation, Settings
from clipsight.explain.occlusion import GRID, OcclusionRegions, apply_mask, draw_masks, fit_heat, mean_colour
from tests.support.fake import DIM, FakeModel, photo_of


def query_for(number: int) -> np.ndarray:
    query = np.zeros(DIM, np.float32)
    query[number] = 1
    return query


def explained(number: int, model: FakeModel, cost: int = 100) -> RegionExplanation:
    return OcclusionRegions(model, Settings(cost=cost)).explain_region(query_for(number), photo_of(230, 230))


@pytest.mark.parametrize(("number", "quarter"), [(0, (0, 0)), (1, (1, 1))])
def test_the_place_that_determines_the_score_has_the_highest_heat(
    number: int, quarter: tuple[int, int]
) -> None:
    heat = explained(number, FakeModel()).heat
    assert heat.shape == (GRID, GRID) and heat.dtype == np.float32 and np.isfinite(heat).all()
    peak = np.unravel_index(int(heat.argmax()), heat.shape)
    assert tuple(int(place) * 2 // GRID for place in peak) == quarter


def test_places_that_lower_the_score_have_negative_heat() -> None:
    heat = explained(0, FakeModel()).heat
    half = GRID // 2
    assert heat[half + 3 :, half + 3 :].max() < 0 < heat[: half - 3, : half - 3].min()


@pytest.mark.parametrize("cost", [64, 100, 101, 250])
def test_the_cost_limits_the_number_of_embedded_photos(cost: int) -> None:
    model = FakeModel()
    explained(0, model, cost)
    assert model.photos == 1 + cost // 2 * 2


def test_masks_are_halves_with_their_complements() -> None:
    masks = draw_masks(20, np.random.default_rng(0))
    assert len(masks) == 40
    for half, other in zip(masks[::2], masks[1::2], strict=True):
        assert half.sum() == GRID * GRID // 2
        assert (half ^ other).all()
    assert len({mask.tobytes() for mask in masks}) == 40
    near = np.mean([(mask[:, 1:] == mask[:, :-1]).mean() for mask in masks])
    assert near > 0.8, "patches, not single cells"


def test_additive_losses_are_attributed_to_their_cells() -> None:
    truth = np.zeros((GRID, GRID))
    truth[3:7, 9:13] = 0.02
    truth[10:13, 2:6] = -0.01
    masks = draw_masks(100, np.random.default_rng(1))
    heat = fit_heat(masks, np.array([truth[mask].sum() for mask in masks]))
    assert np.corrcoef(heat.ravel(), truth.ravel())[0, 1] > 0.8
    assert truth.ravel()[heat.argmax()] == 0.02 and truth.ravel()[heat.argmin()] == -0.01
    assert heat.sum() == pytest.approx(truth.sum(), rel=0.3)


def test_heat_is_the_posterior_mean_of_a_gaussian_process() -> None:
    """Rasmussen & Williams 2006, equation 2.23, with places' covariance summed over each mask."""
    masks = draw_masks(6, np.random.default_rng(2))
    losses = np.random.default_rng(3).standard_normal(12)
    places = np.array([(row, column) for row in range(GRID) for column in range(GRID)])
    covariance = np.array([np.exp(-((places - place) ** 2).sum(axis=1) / 4.5) for place in places])
    cells = np.array([mask.ravel() for mask in masks]) - 0.5
    among = cells @ covariance @ cells.T
    expected = covariance @ cells.T @ np.linalg.inv(among + np.diag(np.full(12, among.trace() / 12)))
    level = 2 * losses.mean() / GRID**2
    assert fit_heat(masks, losses).ravel() == pytest.approx(
        level + expected @ (losses - losses.mean()), abs=1e-9
    )


def test_a_loss_common_to_all_masks_is_spread_evenly() -> None:
    masks = draw_masks(10, np.random.default_rng(4))
    assert fit_heat(masks, np.full(20, 0.3)) == pytest.approx(np.full((GRID, GRID), 0.6 / GRID**2))


def test_an_object_that_fills_the_photo_has_heat() -> None:
    """Whose score a small square, which covers a little of it, would not change."""
    heat = OcclusionRegions(FillingModel(), Settings()).explain_region(query_for(0), photo_of(64, 64)).heat
    assert heat.mean() > 0.005


class FillingModel(FakeModel):
    """Says 0.8 while no more than a third of the photo is apply_mask, less by what is beyond."""

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        whole = photo_of(64, 64)
        shown = [(each == whole).all(axis=-1).mean() for each in pixels]
        found = np.zeros((len(pixels), DIM), np.float32)
        found[:, 0] = [0.8 * min(1.0, float(share) / 0.67) for share in shown]
        return found


def test_cells_cover_all_pixels_of_any_size() -> None:
    pixels, cover = np.zeros((17, 23, 3), np.uint8), np.full((17, 23, 3), 255, np.uint8)
    assert apply_mask(pixels, cover, np.ones((GRID, GRID), np.bool_)).min() == 255
    left = np.zeros((2, 2), np.bool_)
    left[:, 0] = True
    assert apply_mask(pixels, cover, left)[..., 0].sum(axis=1).tolist() == [12 * 255] * 17


def test_a_uniform_photo_has_no_heat() -> None:
    model = FakeModel()
    pixels = mean_colour(photo_of(9, 99))
    heat = OcclusionRegions(model, Settings()).explain_region(query_for(0), pixels).heat
    assert np.abs(heat).max() < 1e-6


def test_the_cover_can_be_chosen() -> None:
    seen = []

    def cover(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        seen.append(1)
        return pixels

    explainer = OcclusionRegions(FakeModel(), Settings(), cover=cover)
    assert np.abs(explainer.explain_region(query_for(0), photo_of(9, 99)).heat).max() < 1e-6
    assert seen == [1]


def test_progress_is_reported() -> None:
    seen: list[tuple[str, int, int]] = []
    settings = Settings(progress=lambda *step: seen.append(step))
    OcclusionRegions(FakeModel(), settings).explain_region(query_for(0), photo_of(9, 99))
    assert all(what == "region" and done <= total for what, done, total in seen)
    assert seen[-1][1] == seen[-1][2]
