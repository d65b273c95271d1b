"""Inputs of the towers: token ids and normalised pixels."""

import numpy as np
import pytest
import torch

from clipsight.clip.tokens import normalise, tokenise
from clipsight.models.preprocess import PreprocessConfig
from clipsight.models.preprocess import normalise as normalise_exactly

pytestmark = pytest.mark.torch


def test_token_ids_are_those_of_clip() -> None:
    """The example in the README of https://github.com/openai/CLIP, and a text that is cut."""
    found = tokenise(["a diagram", "a dog " * 60], 77)
    assert found.shape == (2, 77) and found.dtype == np.int64
    assert found[0, :5].tolist() == [49406, 320, 22697, 49407, 0]
    assert found[1, 0] == 49406 and found[1, -1] == 49407 and (found[1] != 0).all()


def test_pixels_are_normalised_as_in_search() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    for config in (PreprocessConfig(), PreprocessConfig(mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7))):
        expected = normalise_exactly(pixels, config)
        assert np.abs(normalise(torch.from_numpy(pixels), config).numpy() - expected).max() < 1e-6
