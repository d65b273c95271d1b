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

from clipsight.export.onnx_graph import Shape

from .graph import Graph
from .model import FEATURES, FLOOR, TAP_WIDTH, TAPS, TRAINED_FROM, Builtin
from .towers import IMAGE_SIZE, Conv, ImageTower, Layer, tokenizer_file

CONTEXT_LENGTH = 77
"""Maximum number of tokens, [CLS] and [SEP] included, as in CLIP."""

_IMAGE_SHAPE: Shape = ["batch", 3, IMAGE_SIZE, IMAGE_SIZE]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().cpu().numpy()


def _conv(graph: Graph, layer: Conv, x: str, size: int, *, relu6: bool) -> tuple[str, int]:
    """Add a convolution over maps of side `size` with TensorFlow's padding; return its output and side."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    after = -(-size // stride)
    pad = max((after - 1) * stride + kernel - size, 0)
    y = graph.op(
        "Conv",
        x,
        graph.weight(_array(layer.weight), axis=0),
        graph.constant(_array(layer.bias)),
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
    graph = Graph(int8=False)
    pooled, maps = _tower(graph, tower, "image")
    outputs: dict[str, tuple[str, Shape]] = {
        "pooled": (pooled, ["batch", FEATURES]),
        "maps": (maps, ["batch", 208, 9, 9]),
    }
    return graph.serialise("image", _IMAGE_SHAPE, TensorProto.FLOAT, outputs)


def visual_graph(model: Builtin) -> bytes:
    """`image`, float[batch,3,260,260] scaled to -1..1 -> `embedding`, unit float[batch,width]."""
    graph, tower, head = Graph(), model.image, model.image_head
    pooled, _ = _tower(graph, tower, "image")
    last = graph.op("Slice", pooled, *(graph.constant([i], np.int64) for i in (TAP_WIDTH, FEATURES, 1)))
    logits = graph.linear(last, _array(tower.classifier.weight), _array(tower.classifier.bias))
    share = graph.op("Relu", graph.op("Sub", graph.op("Softmax", logits, axis=-1), graph.constant(FLOOR)))
    mixture = graph.unit(graph.linear(share, _array(model.classes.T)))

    pooled = graph.op("Sub", pooled, graph.constant(_array(head.mean)))
    pooled = graph.op("Div", pooled, graph.constant(_array(head.std)))
    pooled = graph.op("Clip", pooled, graph.constant(-6.0), graph.constant(6.0))
    hidden = graph.gelu(graph.linear(pooled, _array(head.up.weight), _array(head.up.bias)))
    residual = graph.linear(hidden, _array(head.down.weight), _array(head.down.bias))
    direct = graph.linear(pooled, _array(head.linear.weight), _array(head.linear.bias))
    y = graph.op("Add", graph.op("Add", direct, residual), graph.linear(mixture, _array(head.mixture.weight)))
    return _finish(graph, y, "image", _IMAGE_SHAPE, TensorProto.FLOAT, head.linear.out_features)


def _pool(graph: Graph, x: str) -> str:
    return graph.op("Flatten", graph.op("GlobalAveragePool", x))


def textual_graph(model: Builtin) -> bytes:
    """`text`, int32[batch,sequence] -> `embedding`, unit float[batch,width]; tokens equal to pad_id are
    masked.

    The token embedding stays int8: rows are cast to float32 after the lookup, so that opening a session does
    not convert eleven million numbers.
    """
    graph, tower, head = Graph(), model.text, model.text_head
    shape = tower.shape
    real = graph.op("Not", graph.op("Equal", "text", graph.constant(shape.pad_id, np.int32)))
    real = graph.op("Cast", real, to=TensorProto.FLOAT)
    x = graph.rows(_array(tower.words.weight), "text")
    length = graph.op("Slice", graph.op("Shape", "text"), *(graph.constant([i], np.int64) for i in (1, 2)))
    positions = graph.constant(_array(tower.positions.weight[:CONTEXT_LENGTH]))
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
            y = graph.linear(x, _array(linear.weight), _array(linear.bias))
            return graph.op("Transpose", graph.op("Reshape", y, split), perm=perm)

        scores = graph.op("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
        scores = graph.op("Mul", scores, graph.constant((shape.width // shape.heads) ** -0.5))
        weights = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)
        y = graph.op(
            "Transpose", graph.op("MatMul", weights, heads("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3]
        )
        y = graph.linear(graph.op("Reshape", y, merge), _array(layer.out.weight), _array(layer.out.bias))
        x = _norm(graph, layer.norm1, graph.op("Add", x, y))
        y = graph.gelu(graph.linear(x, _array(layer.up.weight), _array(layer.up.bias)))
        y = graph.linear(y, _array(layer.down.weight), _array(layer.down.bias))
        x = _norm(graph, layer.norm2, graph.op("Add", x, y))

    column = graph.op("Unsqueeze", real, graph.constant([2], np.int64))
    axis = graph.constant([1], np.int64)
    total = graph.op("ReduceSum", graph.op("Mul", x, column), axis, keepdims=0)
    count = graph.op("Max", graph.op("ReduceSum", real, axis, keepdims=1), graph.constant(1.0))
    mean = graph.unit(graph.op("Div", total, count))
    hidden = graph.op("Mul", mean, graph.constant(6.0))
    hidden = graph.gelu(graph.linear(hidden, _array(head.up.weight), _array(head.up.bias)))
    residual = graph.linear(hidden, _array(head.down.weight), _array(head.down.bias))
    y = graph.op("Add", graph.linear(mean, _array(head.linear.weight), _array(head.linear.bias)), residual)
    return _finish(graph, y, "text", ["batch", "sequence"], TensorProto.INT32, head.linear.out_features)


def _finish(graph: Graph, y: str, name: str, shape: Shape, dtype: int, width: int) -> bytes:
    return graph.serialise(name, shape, dtype, {"embedding": (graph.unit(y), ["batch", width])})


def _norm(graph: Graph, norm: LayerNorm, x: str) -> str:
    weight, bias = graph.constant(_array(norm.weight)), graph.constant(_array(norm.bias))
    return graph.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)


def write_folder(model: Builtin, folder: Path, scale: float, about: dict[str, Any]) -> None:
    """Write the model folder.

    `scale` is the calibrated logit scale, as a factor; `about` is merged into the block "clipsight" of
    config.json.
    """
    (folder / "visual").mkdir(parents=True, exist_ok=True)
    (folder / "textual").mkdir(exist_ok=True)
    (folder / "visual" / "model.onnx").write_bytes(visual_graph(model))
    (folder / "textual" / "model.onnx").write_bytes(textual_graph(model))

    tokenizer = json.loads(tokenizer_file().read_text(encoding="utf-8"))
    tokenizer["padding"] = tokenizer["truncation"] = (
        None  # whoever encodes decides; config.json says how long
    )
    _write_json(folder / "textual" / "tokenizer.json", tokenizer)
    _write_json(
        folder / "textual" / "tokenizer_config.json",
        {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": True,
            "model_max_length": CONTEXT_LENGTH,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    )
    _write_json(
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
    _write_json(
        folder / "config.json",
        {
            "embed_dim": model.image_head.linear.out_features,
            "vision_cfg": {"image_size": IMAGE_SIZE, "architecture": "efficientnet-lite2"},
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": model.text.shape.vocabulary,
                "width": model.text.shape.width,
                "heads": model.text.shape.heads,
                "layers": model.text.shape.layers,
                "tokenizer_kwargs": {"strip_sep_token": False, "clean": "whitespace"},
            },
            "clipsight": {"name": "builtin", "logit_scale": round(scale, 3), "logit_bias": None, **about},
        },
    )


def _write_json(path: Path, value: object) -> None:
    # Indented, the tokenizer would have 30,000 short lines and twice the size.
    indent = None if path.name == "tokenizer.json" else 2
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")
