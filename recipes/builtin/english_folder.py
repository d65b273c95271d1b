"""The English model's weights, read from its model folder: the later stages start from them.

`english.py` makes the folder. Its graphs are built node by node (export.py), so that the order
of their convolutions and products is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from .errors import RecipeError
from .model import FEATURES, Builtin, ImageHead
from .towers import ImageTower, TextShape, TextTower

Array = NDArray[np.float32]


class _Weights:
    """Constants of a graph, int8 ones widened, by the kind of node that uses them."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise RecipeError(
                f"there is no {path}: give a finished English model with --english, or leave the option out"
            )
        self.graph = onnx.load(str(path)).graph
        self.constants = {each.name: numpy_helper.to_array(each) for each in self.graph.initializer}
        self.producer = {name: node for node in self.graph.node for name in node.output}

    def value(self, name: str) -> Array | None:
        """The value of a constant, or of an int8 one times its scales; None for what depends on the input."""
        if name in self.constants:
            return np.asarray(self.constants[name])
        node = self.producer.get(name)
        if node is None or node.op_type not in ("Cast", "Mul"):
            return None
        parts = [self.value(each) for each in node.input]
        if any(part is None for part in parts):
            return None
        product = np.float32(1)
        for part in parts:
            product = product * np.asarray(part, dtype=np.float32)
        return np.asarray(product, dtype=np.float32)

    def of(self, kind: str, *inputs: int) -> list[list[Array]]:
        """The constant inputs of all nodes of a kind that have constants there, in the graph's order."""
        found = []
        for node in self.graph.node:
            if node.op_type == kind and len(node.input) > max(inputs):
                values = [self.value(node.input[i]) for i in inputs]
                if all(value is not None for value in values):
                    found.append([value for value in values if value is not None])
        return found

    def products(self) -> list[tuple[Array, Array | None]]:
        """Weights, as [out,in], and biases of the linear layers, in the graph's order."""
        biases = {
            node.input[0]: self.constants[node.input[1]]
            for node in self.graph.node
            if node.op_type == "Add" and node.input[1] in self.constants
        }
        result = []
        for node in self.graph.node:
            weight = self.value(node.input[1]) if node.op_type == "MatMul" else None
            if weight is not None:
                result.append((weight.T, biases.get(node.output[0])))
        return result


def read_english(folder: Path) -> Builtin:
    """The English model as a module. Raises RecipeError for another model's folder."""
    visual, textual = _Weights(folder / "visual" / "model.onnx"), _Weights(folder / "textual" / "model.onnx")
    try:
        return _read(visual, textual)
    except (IndexError, ValueError, KeyError) as error:
        raise RecipeError(f"{folder} is not an English model of this recipe ({error})") from error


def _read(visual: _Weights, textual: _Weights) -> Builtin:
    image = ImageTower()
    convolutions = [image.stem]
    for block in image.blocks:
        convolutions += [each for each in (block.expand, block.depthwise, block.project) if each is not None]
    convolutions.append(image.head)
    for layer, (weight, bias) in zip(convolutions, visual.of("Conv", 1, 2), strict=True):
        _fill(layer, weight, bias)
    classifier, classes, up, down, linear, mixture = visual.products()
    _fill(image.classifier, *classifier)
    (mean,), (std,) = _wide(visual.of("Sub", 1)), _wide(visual.of("Div", 1))

    (packed,), (scales,) = textual.of("Gather", 0)
    ((places,),) = textual.of("Slice", 0)
    layers = len(textual.of("LayerNormalization", 1, 2)) // 2
    text = TextTower(TextShape(vocabulary=len(packed), positions=len(places), layers=layers))
    _set(text.words, "weight", packed.astype(np.float32) * scales)
    _set(text.positions, "weight", places)
    norms = [text.norm] + [norm for layer in text.layers for norm in (layer.norm1, layer.norm2)]
    for norm, (weight, bias) in zip(norms, textual.of("LayerNormalization", 1, 2), strict=True):
        _fill(norm, weight, bias)

    hidden = len(up[0])
    model = Builtin(image, text, torch.from_numpy(np.array(classes[0].T)), hidden, 0.0)
    head, words_head = model.image_head, model.text_head
    for layer, (weight, bias) in zip(
        (head.up, head.down, head.linear, head.mixture), (up, down, linear, mixture), strict=True
    ):
        _fill(layer, weight, bias)
    _statistics(head, mean, std)
    linears: list[nn.Module] = [
        part
        for layer in text.layers
        for part in (layer.query, layer.key, layer.value, layer.out, layer.up, layer.down)
    ]
    linears += [words_head.up, words_head.down, words_head.linear]
    for layer, (weight, bias) in zip(linears, textual.products(), strict=True):
        _fill(layer, weight, bias)
    return model.eval()


def _wide(found: Sequence[list[Array]]) -> list[Array]:
    """The constants with one number a feature."""
    return [value for (value,) in found if value.size == FEATURES]


def _statistics(head: ImageHead, mean: Array, std: Array) -> None:
    head.mean, head.std = torch.from_numpy(mean.copy()), torch.from_numpy(std.copy())


def _set(module: nn.Module, name: str, value: Array) -> None:
    parameter: Tensor = torch.from_numpy(np.array(value, dtype=np.float32))
    setattr(module, name, nn.Parameter(parameter, requires_grad=False))


def _fill(layer: nn.Module, weight: Array, bias: Array | None) -> None:
    _set(layer, "weight", weight)
    if bias is not None:
        _set(layer, "bias", bias)
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = weight.shape
