"""A model folder with the graphs of OpenAI's CLIP ViT-B/32 and random weights, for measuring speed.

    python -m benchmarks.vit_b32 OUT

Speed does not depend on the weights' values, and this needs neither a download nor PyTorch. The graphs
have every operation of the architecture (arXiv:2103.00020, https://github.com/openai/CLIP `model.py`):
12 layers of 768 over 49 patches of 32 pixels and a class token; 12 layers of 512 over 77 tokens; QuickGELU;
vectors of 512, made unit length in the graph as in the folders that immich publishes. 150 million
parameters, 0.6 GB.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from clipsight.models.clip_bpe import END, clip_tokenizer

DIM, SIZE, PATCH, CONTEXT, VOCABULARY, LAYERS = 512, 224, 32, 77, 49408, 12
VISION_WIDTH, TEXT_WIDTH, HEAD = 768, 512, 64


def write(folder: Path, *, batch: int | None = None, seed: int = 0) -> Path:
    """Write the model folder and return it. `batch` makes both graphs take exactly so many at once."""
    for tower, graph in (("visual", visual(batch, seed)), ("textual", textual(batch, seed))):
        (folder / tower).mkdir(parents=True, exist_ok=True)
        onnx.save(graph, folder / tower / "model.onnx")
    (folder / "textual" / "tokenizer.json").write_text(clip_tokenizer().to_str())
    _write_json(folder / "textual" / "tokenizer_config.json", {"pad_token": END})
    _write_json(folder / "visual" / "preprocess_cfg.json", {"size": SIZE, "interpolation": "bicubic"})
    config = {
        "embed_dim": DIM,
        "vision_cfg": {"image_size": SIZE, "layers": LAYERS, "width": VISION_WIDTH, "patch_size": PATCH},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": TEXT_WIDTH, "heads": 8},
        "clipsight": {"name": "ViT-B-32-random", "provenance": "random weights, for measuring speed"},
    }
    _write_json(folder / "config.json", config)
    return folder


def visual(batch: int | None, seed: int) -> onnx.ModelProto:
    """`image` float32 [batch, 3, 224, 224] to `embedding` float32 [batch, 512]."""
    graph, width = _Graph(seed), VISION_WIDTH
    patches = (SIZE // PATCH) ** 2
    graph.input("image", TensorProto.FLOAT, [batch or "batch", 3, SIZE, SIZE])
    kernel = graph.weights((width, 3, PATCH, PATCH), (3 * PATCH * PATCH) ** -0.5)
    x = graph.add("Conv", "image", kernel, kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH])
    x = graph.add("Reshape", x, graph.integers([0, width, patches]))
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    count = graph.add("Slice", graph.add("Shape", x), *map(graph.integers, ([0], [1])))
    shape = graph.add("Concat", count, graph.integers([1, width]), axis=0)
    x = graph.add("Concat", graph.add("Expand", graph.weights((1, 1, width), 0.04), shape), x, axis=1)
    x = graph.add("Add", x, graph.weights((patches + 1, width), 0.04))
    x = graph.norm(x, width)
    for _ in range(LAYERS):
        x = graph.block(x, width, patches + 1, None)
    first = graph.add("Gather", x, graph.integers(0), axis=1)
    return graph.finish(graph.norm(first, width), width, batch)


def textual(batch: int | None, seed: int) -> onnx.ModelProto:
    """`text` int32 [batch, 77] to `embedding` float32 [batch, 512]."""
    graph, width = _Graph(seed + 1), TEXT_WIDTH
    graph.input("text", TensorProto.INT32, [batch or "batch", CONTEXT])
    x = graph.add("Gather", graph.weights((VOCABULARY, width), 0.02), "text")
    x = graph.add("Add", x, graph.weights((CONTEXT, width), 0.01))
    # Finite, so that no row of the softmax can be all minus infinity.
    mask = graph.constant(np.triu(np.full((CONTEXT, CONTEXT), -1e9, np.float32), 1))
    for _ in range(LAYERS):
        x = graph.block(x, width, CONTEXT, mask)
    x = graph.norm(x, width)
    # The end-of-text token has the highest id: its place is where the text is read off.
    end = graph.add("ArgMax", "text", axis=1, keepdims=1)
    place = graph.add("Unsqueeze", end, graph.integers([2]))
    count = graph.add("Slice", graph.add("Shape", x), *map(graph.integers, ([0], [1])))
    places = graph.add("Expand", place, graph.add("Concat", count, graph.integers([1, width]), axis=0))
    last = graph.add("Squeeze", graph.add("GatherElements", x, places, axis=1), graph.integers([1]))
    return graph.finish(last, width, batch)


class _Graph:
    """An ONNX graph under construction; values are known by their names."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.stored: list[onnx.TensorProto] = []

    def input(self, name: str, element: int, shape: Sequence[int | str]) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, element, shape))

    def constant(self, values: np.ndarray[Any, Any]) -> str:
        name = f"stored_{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(values, name))
        return name

    def integers(self, values: int | Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def weights(self, shape: tuple[int, ...], spread: float) -> str:
        return self.constant(self.random.standard_normal(shape, np.float32) * np.float32(spread))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self.add_many(operator, *inputs, outputs=1, **attributes)[0]

    def add_many(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        names = [f"{operator}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def norm(self, x: str, width: int) -> str:
        scale = self.constant(np.ones(width, np.float32))
        shift = self.constant(np.zeros(width, np.float32))
        return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def linear(self, x: str, width: int, to: int, spread: float) -> str:
        product = self.add("MatMul", x, self.weights((width, to), spread))
        return self.add("Add", product, self.constant(np.zeros(to, np.float32)))

    def block(self, x: str, width: int, length: int, mask: str | None) -> str:
        """A residual attention block; the spreads are those that CLIP starts training from."""
        deep = width**-0.5 * (2 * LAYERS) ** -0.5
        attended = self.attention(self.norm(x, width), width, length, mask)
        x = self.add("Add", x, self.linear(attended, width, width, deep))
        hidden = self.linear(self.norm(x, width), width, 4 * width, (2 * width) ** -0.5)
        gate = self.add("Sigmoid", self.add("Mul", hidden, self.constant(np.array(1.702, np.float32))))
        return self.add("Add", x, self.linear(self.add("Mul", hidden, gate), 4 * width, width, deep))

    def attention(self, x: str, width: int, length: int, mask: str | None) -> str:
        joined = self.linear(x, width, 3 * width, width**-0.5)
        parts = self.add_many("Split", joined, outputs=3, axis=-1, num_outputs=3)
        shape = self.integers([0, length, width // HEAD, HEAD])
        query, key, value = (self.add("Reshape", part, shape) for part in parts)
        query = self.add("Transpose", query, perm=[0, 2, 1, 3])
        key = self.add("Transpose", key, perm=[0, 2, 3, 1])
        value = self.add("Transpose", value, perm=[0, 2, 1, 3])
        query = self.add("Mul", query, self.constant(np.array(HEAD**-0.5, np.float32)))
        scores = self.add("MatMul", query, key)
        scores = self.add("Add", scores, mask) if mask else scores
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        mixed = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.add("Reshape", mixed, self.integers([0, length, width]))

    def finish(self, x: str, width: int, batch: int | None) -> onnx.ModelProto:
        """Project to the shared space, make unit length."""
        x = self.add("MatMul", x, self.weights((width, DIM), width**-0.5))
        length = self.add("ReduceL2", x, self.integers([1]), keepdims=1)
        self.nodes.append(helper.make_node("Div", [x, length], ["embedding"]))
        output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch or "batch", DIM])
        graph = helper.make_graph(self.nodes, "ViT-B/32", self.inputs, [output], self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vit_b32", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write the model folder")
    parser.add_argument("--batch", type=int, help="make the graphs take exactly so many at once")
    arguments = parser.parse_args()
    print(write(arguments.folder, batch=arguments.batch))
