"""Gradient x input is the derivative of the score by the scale of a word, or of a place's pixels."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from clipsight.clip.architecture import Architecture
from clipsight.explain.base import Settings
from clipsight.explain.text_segments import split
from clipsight.explain.torch_methods.gradient import GradientRegions, GradientWords
from tests.support.checkpoints import PIECES, QUERY, RESNET, VIT, make_model, noise

pytestmark = pytest.mark.torch

STEP = 1e-5


def slope(score: Callable[[float], Tensor]) -> float:
    with torch.inference_mode():
        return float(score(1 + STEP) - score(1 - STEP)) / (2 * STEP)


@pytest.mark.parametrize("architecture", [VIT, RESNET], ids=["vit", "resnet"])
def test_a_words_share_is_the_derivative_by_the_scale_of_its_embeddings(architecture: Architecture) -> None:
    model, double = make_model(architecture), make_model(architecture).clip.double()
    pixels = noise(model)
    found = GradientWords(model, Settings()).explain_words(QUERY, split(QUERY), pixels)
    photo = double.encode_image(model.image_input([pixels]).double())[0]
    ids = torch.tensor([model.tokens(QUERY).ids])

    def score(tokens: slice, factor: float) -> Tensor:
        def grow(_module: object, _arguments: object, output: Tensor) -> Tensor:
            grown = output.clone()
            grown[:, tokens] *= factor
            return grown

        with double.text.token_embedding.register_forward_hook(grow):
            return double.encode_text(ids)[0] @ photo

    places = pairwise(np.cumsum((1, *PIECES)).tolist())
    for share, place in zip(found.words, places, strict=True):
        tokens = slice(*place)
        wanted = slope(lambda factor, tokens=tokens: score(tokens, factor))  # type: ignore[misc]
        assert share.contribution == pytest.approx(wanted, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("architecture", "cell"), [(VIT, 8), (RESNET, 16)], ids=["vit", "resnet"])
def test_heat_is_the_derivative_by_the_scale_of_the_pixels(architecture: Architecture, cell: int) -> None:
    model, double = make_model(architecture), make_model(architecture).clip.double()
    pixels = noise(model)
    query = model.encode_texts([QUERY])[0]
    heat = GradientRegions(model, Settings()).explain_region(query, pixels).heat
    assert heat.shape == (4, 4)
    image = model.image_input([pixels]).double()

    def score(row: int, column: int, factor: float) -> Tensor:
        grown = image.clone()
        grown[..., row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] *= factor
        return double.encode_image(grown)[0] @ torch.from_numpy(query).double()

    for row, column in ((0, 0), (1, 3), (3, 2)):
        wanted = slope(lambda factor, row=row, column=column: score(row, column, factor))  # type: ignore[misc]
        assert heat[row, column] == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_pixels_beyond_the_last_whole_patch_are_not_in_the_heat_map() -> None:
    model = make_model(replace(VIT, vision_cfg=replace(VIT.vision_cfg, image_size=37)))
    query = model.encode_texts([QUERY])[0]
    assert GradientRegions(model, Settings()).explain_region(query, noise(model)).heat.shape == (4, 4)
