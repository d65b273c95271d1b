"""Export of trained modules to a model folder: two ONNX graphs, the tokenizer and JSON files.

The graphs are built node by node from the weights, without a tracer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor
from torch.nn import LayerNorm

from clipsight.core.errors import ModelError
from clipsight.export.onnx_graph import Shape
from clipsight.models.folder import ModelFolder

from .graph import Graph
from .model import FEATURES, FLOOR, TAP_WIDTH, TAPS, TRAINED_FROM, Builtin
from .towers import IMAGE_SIZE, Conv, ImageTower, Layer, TextShape, TextTower, tokenizer_file

CONTEXT_LENGTH = 77
"""Maximum number of tokens, [CLS] and [SEP] included, as in CLIP."""

IMAGE_SHAPE: Shape = ["batch", 3, IMAGE_SIZE, IMAGE_SIZE]
TEXT_SHAPE: Shape = ["batch", "sequence"]


def array_of(tensor: Tensor) -> NDArray[np.float32]:
    """The numbers of a tensor."""
    return tensor.detach().float().cpu().numpy()


def _conv(graph: Graph, layer: Conv, x: str, size: int, *, relu6: bool) -> tuple[str, int]:
    """Add a convolution over maps of side `size` with TensorFlow's padding; return its output and side."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    after = -(-size // stride)
    pad = max((after - 1) * stride + kernel - size, 0)
    y = graph.op(
        "Conv",
        x,
        graph.weight(array_of(layer.weight), axis=0),
        graph.constant(array_of(layer.bias)),
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        pads=[pad // 2, pad // 2, pad - pad // 2, pad - pad // 2],
        group=layer.groups,
    )
    return (graph.op("Clip", y, graph.constant(0.0), graph.constant(6.0)) if relu6 else y), after


def _tower(graph: Graph, tower: ImageTower, x: str) -> tuple[str, str]:
    """Add the image tower; return the concatenated pooled features, and the input of block TRAINED_FROM."""
    x, size = _conv(graph, tower.stem, x, IMAGE_SIZE, relu6=True)
    pooled, maps = [], x
    for i, block in enumerate(tower.blocks):
        maps = x if i == TRAINED_FROM else maps
        y, after = x, size
        if block.expand is not None:
            y, after = _conv(graph, block.expand, y, after, relu6=True)
        y, after = _conv(graph, block.depthwise, y, after, relu6=True)
        y, after = _conv(graph, block.project, y, after, relu6=False)
        x, size = (graph.op("Add", x, y) if block.skip else y), after
        if i in TAPS:
            pooled.append(_pool(graph, x))
    x, _ = _conv(graph, tower.head, x, size, relu6=True)
    return graph.op("Concat", *pooled, _pool(graph, x), axis=1), maps


def frozen_graph(tower: ImageTower) -> bytes:
    """The image tower alone with float32 weights: `image` -> pooled features, input of block TRAINED_FROM."""
    graph = Graph(bits=32)
    pooled, maps = _tower(graph, tower, "image")
    outputs: dict[str, tuple[str, Shape]] = {
        "pooled": (pooled, ["batch", FEATURES]),
        "maps": (maps, ["batch", 208, 9, 9]),
    }
    return graph.serialise("image", IMAGE_SHAPE, TensorProto.FLOAT, outputs)


def visual_graph(model: Builtin) -> bytes:
    """`image`, float[batch,3,260,260] scaled to -1..1 -> `embedding`, unit float[batch,width]."""
    graph = Graph()
    y, _ = photo_vectors(graph, model)
    return finish(graph, y, "image", IMAGE_SHAPE, TensorProto.FLOAT, model.image_head.linear.out_features)


def blended_visual_graph(model: Builtin, known: Tensor, share: float) -> bytes:
    """The same, with ConSE beside the head: `heads.blend` of the head's output and of the class names'
    embeddings `known`, float[1000,width], weighted by their probabilities.
    """
    graph = Graph()
    head, probabilities = photo_vectors(graph, model)
    conse = graph.unit(graph.linear(probabilities, array_of(known.T)))
    first = graph.op("Mul", graph.unit(head), graph.constant(1 - share))
    y = graph.op("Add", first, graph.op("Mul", conse, graph.constant(share)))
    return finish(graph, y, "image", IMAGE_SHAPE, TensorProto.FLOAT, known.shape[1])


def photo_vectors(graph: Graph, model: Builtin) -> tuple[str, str]:
    """Add the image side; return the head's output, float[batch,width], and the class probabilities above
    FLOOR, float[batch,1000].
    """
    tower, head = model.image, model.image_head
    pooled, _ = _tower(graph, tower, "image")
    last = graph.op("Slice", pooled, *(graph.constant([i], np.int64) for i in (TAP_WIDTH, FEATURES, 1)))
    logits = graph.linear(last, array_of(tower.classifier.weight), array_of(tower.classifier.bias))
    share = graph.op("Relu", graph.op("Sub", graph.op("Softmax", logits, axis=-1), graph.constant(FLOOR)))
    mixture = graph.unit(graph.linear(share, array_of(model.classes.T)))

    pooled = graph.op("Sub", pooled, graph.constant(array_of(head.mean)))
    pooled = graph.op("Div", pooled, graph.constant(array_of(head.std)))
    pooled = graph.op("Clip", pooled, graph.constant(-6.0), graph.constant(6.0))
    hidden = graph.gelu(graph.linear(pooled, array_of(head.up.weight), array_of(head.up.bias)))
    residual = graph.linear(hidden, array_of(head.down.weight), array_of(head.down.bias))
    direct = graph.linear(pooled, array_of(head.linear.weight), array_of(head.linear.bias))
    y = graph.op(
        "Add", graph.op("Add", direct, residual), graph.linear(mixture, array_of(head.mixture.weight))
    )
    return y, share


def _pool(graph: Graph, x: str) -> str:
    return graph.op("Flatten", graph.op("GlobalAveragePool", x))


def textual_graph(model: Builtin, token_bits: int = 8) -> bytes:
    """`text`, int32[batch,sequence] -> `embedding`, unit float[batch,width]; tokens equal to pad_id are
    masked.

    The token embedding keeps its `token_bits`, 4 or 8: rows are cast to float32 after the lookup, so that
    opening a session does not convert eleven million numbers.
    """
    graph, tower, head = Graph(), model.text, model.text_head
    look_up = graph.rows4 if token_bits == 4 else graph.rows
    mean = mean_tokens(graph, tower, look_up(array_of(tower.words.weight), "text"))
    hidden = graph.op("Mul", mean, graph.constant(6.0))
    hidden = graph.gelu(graph.linear(hidden, array_of(head.up.weight), array_of(head.up.bias)))
    residual = graph.linear(hidden, array_of(head.down.weight), array_of(head.down.bias))
    y = graph.op(
        "Add", graph.linear(mean, array_of(head.linear.weight), array_of(head.linear.bias)), residual
    )
    return finish(graph, y, "text", TEXT_SHAPE, TensorProto.INT32, head.linear.out_features)


def mean_tokens(graph: Graph, tower: TextTower, x: str) -> str:
    """Add a text tower from its token embeddings `x`; return the unit mean over real tokens."""
    shape = tower.shape
    real = graph.op("Not", graph.op("Equal", "text", graph.constant(shape.pad_id, np.int32)))
    real = graph.op("Cast", real, to=TensorProto.FLOAT)
    length = graph.op("Slice", graph.op("Shape", "text"), *(graph.constant([i], np.int64) for i in (1, 2)))
    positions = graph.constant(array_of(tower.positions.weight[:CONTEXT_LENGTH]))
    positions = graph.op(
        "Slice", positions, graph.constant([0], np.int64), length, graph.constant([0], np.int64)
    )
    x = _norm(graph, tower.norm, graph.op("Add", x, positions))

    mask = graph.op("Mul", graph.op("Sub", real, graph.constant(1.0)), graph.constant(1e4))
    mask = graph.op("Unsqueeze", mask, graph.constant([1, 2], np.int64))
    split = graph.constant([0, 0, shape.heads, shape.width // shape.heads], np.int64)
    merge = graph.constant([0, 0, shape.width], np.int64)
    for layer in tower.layers:

        def heads(part: str, perm: list[int], layer: Layer = layer, x: str = x) -> str:
            linear = getattr(layer, part)
            y = graph.linear(x, array_of(linear.weight), array_of(linear.bias))
            return graph.op("Transpose", graph.op("Reshape", y, split), perm=perm)

        scores = graph.op("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
        scores = graph.op("Mul", scores, graph.constant((shape.width // shape.heads) ** -0.5))
        weights = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)
        y = graph.op(
            "Transpose", graph.op("MatMul", weights, heads("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3]
        )
        y = graph.linear(graph.op("Reshape", y, merge), array_of(layer.out.weight), array_of(layer.out.bias))
        x = _norm(graph, layer.norm1, graph.op("Add", x, y))
        y = graph.gelu(graph.linear(x, array_of(layer.up.weight), array_of(layer.up.bias)))
        y = graph.linear(y, array_of(layer.down.weight), array_of(layer.down.bias))
        x = _norm(graph, layer.norm2, graph.op("Add", x, y))

    column = graph.op("Unsqueeze", real, graph.constant([2], np.int64))
    axis = graph.constant([1], np.int64)
    total = graph.op("ReduceSum", graph.op("Mul", x, column), axis, keepdims=0)
    count = graph.op("Max", graph.op("ReduceSum", real, axis, keepdims=1), graph.constant(1.0))
    return graph.unit(graph.op("Div", total, count))


def finish(graph: Graph, y: str, name: str, shape: Shape, dtype: int, width: int) -> bytes:
    """Scale `y` to unit length and serialise the graph with this output, `embedding`."""
    return graph.serialise(name, shape, dtype, {"embedding": (graph.unit(y), ["batch", width])})


def _norm(graph: Graph, norm: LayerNorm, x: str) -> str:
    weight, bias = graph.constant(array_of(norm.weight)), graph.constant(array_of(norm.bias))
    return graph.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)


def write_folder(
    model: Builtin,
    folder: Path,
    scale: float,
    about: dict[str, Any],
    visual: bytes | None = None,
    token_bits: int = 8,
) -> None:
    """Write the model folder; without `visual`, the image side is `visual_graph`'s; `token_bits` are those of
    `textual_graph`.

    `scale` is the calibrated logit scale, as a factor; `about` is merged into the block "clipsight" of
    config.json.
    """
    tokenizer = json.loads(tokenizer_file().read_text(encoding="utf-8"))
    tokenizer["padding"] = tokenizer["truncation"] = (
        None  # whoever encodes decides; config.json says how long
    )
    special = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": CONTEXT_LENGTH,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    write_visual(folder, visual or visual_graph(model))
    write_text_tower(folder / "textual", textual_graph(model, token_bits), tokenizer, special)
    width = model.image_head.linear.out_features
    write_config(folder, width, model.text.shape, {"logit_scale": round(scale, 3), **about})


def write_visual(folder: Path, graph: bytes) -> None:
    """Write the image tower and how photos are prepared for it."""
    (folder / "visual").mkdir(parents=True, exist_ok=True)
    (folder / "visual" / "model.onnx").write_bytes(graph)
    write_json(
        folder / "visual" / "preprocess_cfg.json",
        {
            "size": [IMAGE_SIZE, IMAGE_SIZE],
            "mode": "RGB",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "resize_mode": "squash",
            "fill_color": 0,
        },
    )


def write_text_tower(tower: Path, graph: bytes, tokenizer: object, special: object) -> None:
    """Write a text tower's folder: the graph, its tokenizer and the names of the special tokens."""
    tower.mkdir(parents=True, exist_ok=True)
    (tower / "model.onnx").write_bytes(graph)
    write_json(tower / "tokenizer.json", tokenizer)
    write_json(tower / "tokenizer_config.json", special)


def photo_identity(before: Path, after: Path) -> dict[str, dict[str, str]]:
    """What config.json of the folder `after` adds if photos embedded with the folder `before` need not be
    embedded again: both have the same image tower. Otherwise nothing.
    """
    try:
        old, new = ModelFolder.read(before), ModelFolder.read(after)
    except ModelError:
        return {}
    if old.visual_hash() != new.visual_hash():
        return {}
    return {"photo_identity": {"visual": new.visual_hash(), "fingerprint": old.fingerprint()}}


def write_config(folder: Path, width: int, text: TextShape, about: dict[str, Any]) -> None:
    """Write config.json; `about` is merged into its block "clipsight"."""
    write_json(
        folder / "config.json",
        {
            "embed_dim": width,
            "vision_cfg": {"image_size": IMAGE_SIZE, "architecture": "efficientnet-lite2"},
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": text.vocabulary,
                "width": text.width,
                "heads": text.heads,
                "layers": text.layers,
                "tokenizer_kwargs": {"strip_sep_token": False, "clean": "whitespace"},
            },
            "clipsight": {"name": "builtin", "logit_bias": None, **about},
        },
    )


def write_json(path: Path, value: object) -> None:
    """Write indented JSON; the tokenizer, of many short lines, without indentation."""
    indent = None if path.name == "tokenizer.json" else 2
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")
