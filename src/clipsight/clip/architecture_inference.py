"""Inference of a checkpoint's architecture from the shapes of its tensors."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from clipsight.clip.architecture import (
    Architecture,
    TextConfig,
    VisionConfig,
    mlp_ratio,
    with_published_head_width,
)
from clipsight.core.errors import CheckpointError


def infer_architecture(state: Mapping[str, Tensor], path: Path) -> Architecture:
    """Architecture of a state dict with our keys, read from `path`.

    Shapes show neither the activation, which is left at GELU, nor the width of an attention head, which is
    that of the published architecture of the same sizes, otherwise 64, as in all of OpenAI's models. Raises
    CheckpointError for shapes that match no architecture.
    """
    shapes = _Shapes(state, path)
    width, embed_dim = shapes.get("text.text_projection", 2)
    text = TextConfig(
        context_length=shapes.get("text.positional_embedding", 2)[0],
        vocab_size=shapes.get("text.token_embedding.weight", 2)[0],
        width=width,
        heads=max(1, width // 64),
        layers=shapes.count_layers("text.transformer.resblocks."),
        mlp_ratio=mlp_ratio(shapes.get("text.transformer.resblocks.0.mlp.c_fc.weight", 2)[0], width),
    )
    is_resnet = any(name.startswith("visual.attnpool.") for name in state)
    vision = shapes.resnet() if is_resnet else shapes.vit()
    architecture = with_published_head_width(Architecture(embed_dim, vision, text))
    if problem := architecture.problem():
        raise CheckpointError(f"the tensors of {path} don't tell its architecture ({problem}); name it")
    return architecture


class _Shapes:
    """Shapes of the tensors in a state dict, with errors that name the file."""

    def __init__(self, state: Mapping[str, Tensor], path: Path) -> None:
        self._state, self._path = state, path

    def get(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Shape of a tensor. Raises CheckpointError if it is missing, empty or has other dimensions."""
        shape = tuple(self._state[name].shape) if name in self._state else ()
        if len(shape) != dimensions or 0 in shape:
            what = f"has a {name} of shape {list(shape)}" if name in self._state else f"lacks {name}"
            raise CheckpointError(f"{self._path} {what}, so its architecture can't be told; name it")
        return shape

    def count_layers(self, prefix: str) -> int:
        """Number of different layer numbers after `prefix`."""
        numbered = re.compile(re.escape(prefix) + r"(\d{1,4})\.")
        return len({match[1] for name in self._state if (match := numbered.match(name))})

    def vit(self) -> VisionConfig:
        """Image tower with patches."""
        width, _, patch, _ = self.get("visual.conv1.weight", 4)
        hidden = self.get("visual.transformer.resblocks.0.mlp.c_fc.weight", 2)[0]
        return VisionConfig(
            image_size=patch * self._grid("visual.positional_embedding"),
            layers=self.count_layers("visual.transformer.resblocks."),
            width=width,
            patch_size=patch,
            mlp_ratio=mlp_ratio(hidden, width),
        )

    def resnet(self) -> VisionConfig:
        """Convolutional image tower."""
        one, two, three, four = (self.count_layers(f"visual.layer{number}.") for number in (1, 2, 3, 4))
        return VisionConfig(
            image_size=32 * self._grid("visual.attnpool.positional_embedding"),
            layers=(one, two, three, four),
            width=self.get("visual.conv3.weight", 4)[0],
            patch_size=None,
        )

    def _grid(self, positions: str) -> int:
        return round(math.sqrt(self.get(positions, 2)[0] - 1))
