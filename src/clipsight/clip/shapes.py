"""The architecture of a checkpoint, told by its tensors' shapes."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from clipsight.clip.architecture import Architecture, TextConfig, VisionConfig, completed, mlp_ratio
from clipsight.core.errors import CheckpointError


def architecture_of(state: Mapping[str, Tensor], path: Path) -> Architecture:
    """The architecture of tensors under our names. Raises CheckpointError where they don't tell it.

    Not in any shape, and so not told here: the activation, and how wide an attention head is. That is as in
    the published architecture of these sizes, else 64, the width in all of OpenAI's.
    """
    found = _Shapes(state, path)
    width, embed_dim = found.of("text.text_projection", 2)
    text = TextConfig(
        context_length=found.of("text.positional_embedding", 2)[0],
        vocab_size=found.of("text.token_embedding.weight", 2)[0],
        width=width,
        heads=max(1, width // 64),
        layers=found.layers("text.transformer.resblocks."),
        mlp_ratio=mlp_ratio(found.of("text.transformer.resblocks.0.mlp.c_fc.weight", 2)[0], width),
    )
    vision = found.resnet() if any(name.startswith("visual.attnpool.") for name in state) else found.vit()
    architecture = completed(Architecture(embed_dim, vision, text))
    if problem := architecture.problem():
        raise CheckpointError(f"the tensors of {path} don't tell its architecture ({problem}); name it")
    return architecture


class _Shapes:
    def __init__(self, state: Mapping[str, Tensor], path: Path) -> None:
        self._state, self._path = state, path

    def of(self, name: str, dimensions: int) -> tuple[int, ...]:
        shape = tuple(self._state[name].shape) if name in self._state else ()
        if len(shape) != dimensions or 0 in shape:
            what = f"has a {name} of shape {list(shape)}" if name in self._state else f"lacks {name}"
            raise CheckpointError(f"{self._path} {what}, so its architecture can't be told; name it")
        return shape

    def layers(self, prefix: str) -> int:
        numbered = re.compile(re.escape(prefix) + r"(\d{1,4})\.")
        return len({match[1] for name in self._state if (match := numbered.match(name))})

    def vit(self) -> VisionConfig:
        width, _, patch, _ = self.of("visual.conv1.weight", 4)
        hidden = self.of("visual.transformer.resblocks.0.mlp.c_fc.weight", 2)[0]
        return VisionConfig(
            image_size=patch * self._grid("visual.positional_embedding"),
            layers=self.layers("visual.transformer.resblocks."),
            width=width,
            patch_size=patch,
            mlp_ratio=mlp_ratio(hidden, width),
        )

    def resnet(self) -> VisionConfig:
        one, two, three, four = (self.layers(f"visual.layer{number}.") for number in (1, 2, 3, 4))
        return VisionConfig(
            image_size=32 * self._grid("visual.attnpool.positional_embedding"),
            layers=(one, two, three, four),
            width=self.of("visual.conv3.weight", 4)[0],
            patch_size=None,
        )

    def _grid(self, positions: str) -> int:
        return round(math.sqrt(self.of(positions, 2)[0] - 1))
