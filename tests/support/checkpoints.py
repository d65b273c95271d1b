"""CLIP with random weights, for the methods that need PyTorch."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.clip.architecture import Architecture
from clipsight.clip.model import CLIP
from clipsight.explain.torch_methods.model import TorchModel
from clipsight.models.preprocess import PreprocessConfig
from tests.support.clip_weights import TINY_RESNET, TINY_VIT, fill

TEXT = replace(TINY_VIT.text_cfg, context_length=16, vocab_size=49_408)
VIT = replace(TINY_VIT, text_cfg=TEXT)
RESNET = replace(TINY_RESNET, text_cfg=TEXT)

QUERY = "an antidisestablishmentarian's red flower"
PIECES = (1, 7, 1, 1)
"""How many of CLIP's tokens each word of QUERY is."""


def make_model(architecture: Architecture = VIT) -> TorchModel:
    clip = CLIP(architecture).eval()
    fill(clip)
    size = architecture.vision_cfg.image_size
    return TorchModel("random", clip.requires_grad_(False), PreprocessConfig(size=(size, size)))


def noise(model: TorchModel, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Pixels of a photo."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*model.preprocessing.size, 3), np.uint8)


def grouped(values: npt.NDArray[np.floating[Any]]) -> list[float]:
    """The sum over each word of QUERY of its tokens' values, float[tokens], start and end among them."""
    return [float(values[start:end].sum()) for start, end in pairwise(np.cumsum((1, *PIECES)))]


def plain_image(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (40, 60), colour)
