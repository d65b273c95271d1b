"""Weights, pictures and token ids for tests of CLIP: random, and the same on every machine and version."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from clipsight.clip.architecture import Architecture, TextConfig, VisionConfig

TINY_TEXT = TextConfig(context_length=12, vocab_size=50, width=32, heads=2, layers=2)
TINY_VIT = Architecture(24, VisionConfig(32, 2, 48, 8, head_width=16, mlp_ratio=3.0), TINY_TEXT, True)
TINY_RESNET = Architecture(24, VisionConfig(64, (2, 1, 1, 1), 8, None, head_width=32), TINY_TEXT)

SMALL_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 12, "width": 16, "heads": 1, "layers": 1},
}
"""An architecture's config file, small enough to be trained in a test."""


def fill(model: nn.Module) -> None:
    """Give every tensor of `model` values of a usual size that depend on its name and shape alone."""
    state = model.state_dict()
    model.load_state_dict({name: _values(name, tensor) for name, tensor in state.items()})


def images(architecture: Architecture, count: int = 3) -> Tensor:
    """Normalised noise, float[count,3,image_size,image_size]."""
    size = architecture.vision_cfg.image_size
    return _normal("images", (count, 3, size, size))


def positions() -> Tensor:
    """Position embeddings of a class token and a grid of 4 x 4, float[17,3]."""
    return _normal("positions", (17, 3))


def ids(architecture: Architecture, count: int = 3) -> Tensor:
    """Texts of different lengths, int[count,context_length].

    As in CLIP, the last id but one starts a text, the last ends it, and 0 pads it.
    """
    text = architecture.text_cfg
    rows = torch.zeros(count, text.context_length, dtype=torch.int64)
    numbers = np.random.RandomState(7).randint(1, text.vocab_size - 2, size=rows.shape)
    for row, length in enumerate(np.linspace(3, text.context_length, count).astype(int)):
        rows[row, :length] = torch.from_numpy(numbers[row, :length])
        rows[row, 0] = text.vocab_size - 2
        rows[row, length - 1] = text.vocab_size - 1
    return rows


def _values(name: str, tensor: Tensor) -> Tensor:
    if name == "logit_scale":
        return torch.tensor(3.0)
    if tensor.dtype == torch.int64:
        return torch.ones_like(tensor)
    name = name.removeprefix("text.")  # OpenCLIP's name
    noise = _normal(name, tuple(tensor.shape))
    if name.endswith("running_var"):
        return 1 + 0.3 * noise.clamp(-2, 2)
    if tensor.ndim == 1:
        return 0.1 * noise + float(name.endswith(".weight"))  # of a norm; else a bias
    inputs = tensor.shape[0] if name.endswith("proj") else tensor[0].numel()
    return noise * float(inputs**-0.5)


def _normal(name: str, shape: tuple[int, ...]) -> Tensor:
    # RandomState's numbers are promised never to change.
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
