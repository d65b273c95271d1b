"""A forward and backward pass of a text or photo through its tower, as NumPy arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipsight.core.arrays import Float32

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from clipsight.clip.model import CLIP


@dataclass(frozen=True)
class Trace:
    """Inputs of a tower and attention of each layer, with the gradients of the cosine with respect to both.

    `inputs` are a text's token embeddings float32[tokens, width], or a photo's normalised pixels float32[3,
    H, W]. `attentions` are float32[heads, query, key], first layer first; a ResNet has only that of its
    attention pool.
    """

    inputs: Float32
    input_gradients: Float32
    attentions: tuple[Float32, ...]
    attention_gradients: tuple[Float32, ...]


def trace_text(clip: "CLIP", ids: "Tensor", photo: Float32) -> Trace:
    """Trace the cosine of a text, token ids int[1, tokens], with the embedding `photo`."""
    return _trace_from(clip.text.token_embedding, lambda given: clip.encode_text(ids, given), photo)


def trace_photo(clip: "CLIP", image: "Tensor", query: Float32) -> Trace:
    """Trace the cosine of `image`, normalised float[1, 3, H, W], with the vector `query`."""
    pixels = image.clone().requires_grad_()
    return _trace(lambda attentions: clip.encode_image(pixels, attentions), [pixels], query)


def trace_features(clip: "CLIP", image: "Tensor", query: Float32) -> Trace:
    """As `trace_photo`, but `inputs` are a ResNet's features before its pool, float32[channels, H, W]."""
    last = clip.visual.get_submodule("layer4")
    return _trace_from(last, lambda attentions: clip.encode_image(image, attentions), query)


def _trace_from(module: "Module", encode: "Callable[[list[Tensor]], Tensor]", other: Float32) -> Trace:
    """Trace with the output of `module` as inputs."""
    outputs: list[Tensor] = []

    def keep(_module: object, _arguments: object, output: "Tensor") -> "Tensor":
        outputs.append(output.requires_grad_())
        return outputs[0]

    hook = module.register_forward_hook(keep)
    try:
        return _trace(encode, outputs, other)
    finally:
        hook.remove()


def _trace(encode: "Callable[[list[Tensor]], Tensor]", inputs: "list[Tensor]", other: Float32) -> Trace:
    import torch

    attentions: list[Tensor] = []
    with torch.enable_grad():
        embedding = encode(attentions)
        cosine = (embedding[0] * torch.from_numpy(other)).sum()
        gradients = torch.autograd.grad(cosine, [*inputs, *attentions])
    input_gradients, *attention_gradients = (gradient[0].numpy() for gradient in gradients)
    weights = tuple(each[0].detach().numpy() for each in attentions)
    return Trace(inputs[0][0].detach().numpy(), input_gradients, weights, tuple(attention_gradients))
