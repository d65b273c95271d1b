"""A CLIP checkpoint in PyTorch as a `protocol.Model`, and as the methods beside this module look into it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import CheckpointError, ModelError
from clipsight.explain.base import Model, Pixels, Vector
from clipsight.models.preprocess import PreprocessConfig, normalise, resize_and_crop

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from clipsight.clip.model import CLIP
    from clipsight.explain.torch_methods.tokens import Tokens
    from clipsight.explain.torch_methods.trace import Trace

_IMAGES_AT_ONCE = 16
_TEXTS_AT_ONCE = 64


def open_checkpoint(source: str | Path) -> "TorchModel":
    """The model of a weights file, of a repository's or a training run's folder, or of a published name.

    The names are those of `clipsight export-model` (see `training.published`). Raises ModelError where
    PyTorch is not installed, CheckpointError for weights that can't be used.
    """
    try:
        from clipsight.clip import pretrained
        from clipsight.clip.declared import declared_preprocess, weights_in
        from clipsight.clip.model import create
        from clipsight.clip.tokens import VOCABULARY
    except ModuleNotFoundError as error:
        raise ModelError(f"a checkpoint needs {error.name}: pip install 'clipsight[train]'") from error
    weights = weights_in(pretrained.locate(source))
    clip = create(pretrained=weights)
    size = clip.architecture.text_cfg.vocab_size
    if size != VOCABULARY:
        raise CheckpointError(
            f"{weights} has a vocabulary of {size:,} tokens, not CLIP's {VOCABULARY:,}; use another"
        )
    preprocessing = declared_preprocess(weights, clip.architecture.vision_cfg.image_size)
    return TorchModel(str(source), clip.requires_grad_(False), preprocessing)


def checkpoint_obstacle(model: Model) -> str | None:
    """The `obstacle` of the methods that look inside both towers."""
    if isinstance(model, TorchModel):
        return None
    return "which is no PyTorch checkpoint (`model` with weights or a published CLIP's name is one)"


@dataclass(frozen=True)
class TorchModel:
    """`clip` in evaluation mode on the CPU, none of whose parameters asks for a gradient."""

    name: str
    clip: "CLIP"
    preprocessing: PreprocessConfig

    @property
    def context_length(self) -> int:
        return self.clip.architecture.text_cfg.context_length

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied with before a softmax."""
        return self.clip.logit_scale.exp().item()

    def preprocess(self, image: "Image") -> Pixels:
        """What the model sees of an RGB photo: uint8[H, W, 3]."""
        return resize_and_crop(image, self.preprocessing)

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """Embed what `preprocess` gave: float32[n, dim], unit length."""
        inputs = (self.image_input(pixels[turn]) for turn in _turns(len(pixels), _IMAGES_AT_ONCE))
        return self._encode(inputs, self.clip.encode_image)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32[n, dim], unit length."""
        inputs = (self._ids(texts[turn]) for turn in _turns(len(texts), _TEXTS_AT_ONCE))
        return self._encode(inputs, self.clip.encode_text)

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """Which texts are longer than the context."""
        return tuple(self.tokens(text).truncated for text in texts)

    def tokens(self, text: str) -> "Tokens":
        """The tokens of one text as the model reads it."""
        from clipsight.explain.torch_methods.tokens import tokenise

        return tokenise(text, self.context_length)

    def text_attentions(self, text: str) -> list[NDArray[np.float32]]:
        """Each layer's attention of the text tower, the first's first: float32[heads, query, key]."""
        import torch

        attentions: list[Tensor] = []
        with torch.inference_mode():
            self.clip.encode_text(self._ids([text]), attentions)
        return [weights[0].numpy() for weights in attentions]

    def trace_text(self, text: str, photo: Vector) -> "Trace":
        """How the cosine of `text` and the embedding `photo` came about in the text tower."""
        from clipsight.explain.torch_methods.trace import trace_text

        return trace_text(self.clip, self._ids([text]), photo)

    def trace_photo(self, pixels: Pixels, query: Vector) -> "Trace":
        """How the cosine of `pixels` and the embedding `query` came about in the image tower."""
        from clipsight.explain.torch_methods.trace import trace_photo

        return trace_photo(self.clip, self.image_input([pixels]), query)

    def trace_features(self, pixels: Pixels, query: Vector) -> "Trace":
        """How that cosine came about from a ResNet's last features on."""
        from clipsight.explain.torch_methods.trace import trace_features

        return trace_features(self.clip, self.image_input([pixels]), query)

    def image_input(self, pixels: Sequence[Pixels]) -> "Tensor":
        """float32[n, 3, H, W], normalised."""
        import torch

        return torch.from_numpy(normalise(np.stack(pixels), self.preprocessing))

    def _ids(self, texts: Sequence[str]) -> "Tensor":
        import torch

        found = [self.tokens(text).ids for text in texts]
        ids = torch.zeros(len(found), max(map(len, found)), dtype=torch.int64)  # 0 pads, as in OpenAI's
        for row, each in zip(ids, found, strict=True):
            row[: len(each)] = torch.tensor(each)
        return ids

    def _encode(
        self, inputs: "Iterator[Tensor]", encode: "Callable[[Tensor], Tensor]"
    ) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            parts = [encode(each).numpy() for each in inputs]
        return np.concatenate([np.empty((0, self.clip.architecture.embed_dim), np.float32), *parts])


def _turns(count: int, at_once: int) -> Iterator[slice]:
    return (slice(start, start + at_once) for start in range(0, count, at_once))
