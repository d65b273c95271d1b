"""CLIP's towers as ONNX graphs, built node by node from their weights.

Each function is the ONNX counterpart of a `forward` in `vit`, `resnet`, `text` or `transformer`; every export
compares the results of both. `torch.onnx.export` is not used, because its output depends on PyTorch's
version, one of its exporters is deprecated and the other needs a second library, and weights would have to be
quantised by another tool afterwards (docs/export.md has the comparison).
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from torch import Tensor, nn

from clipsight.clip.model import CLIP
from clipsight.clip.resnet import AttentionPool, Bottleneck, ModifiedResNet
from clipsight.clip.text import TextTransformer
from clipsight.clip.transformer import QuickGELU, ResidualBlock, Transformer
from clipsight.clip.vit import VisionTransformer
from clipsight.core.arrays import Float32
from clipsight.export.onnx_graph import Graph, Precision

MAX_FILE_BYTES = 2_000_000_000
"""Larger weights, in bytes, are written to a separate file; protobuf is limited to 2**31 bytes."""

_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}


def write_visual(model: CLIP, path: Path, precision: Precision) -> None:
    """Write the image tower to `path`.

    `image`, normalised float[batch,3,image_size,image_size] -> `embedding`, unit float[batch,embed_dim].
    """
    graph = Graph(precision, _external_data(path, model.visual, precision))
    tower = model.visual
    y = (
        _vit(graph, tower, "image")
        if isinstance(tower, VisionTransformer)
        else _resnet(graph, tower, "image")
    )
    size = model.architecture.vision_cfg.image_size
    source = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, size, size])
    graph.write(path, source, graph.unit(y), model.architecture.embed_dim)


def write_textual(model: CLIP, path: Path, precision: Precision) -> None:
    """Write the text tower to `path`.

    `text`, token ids int32[batch,sequence], sequence <= context_length -> `embedding`, unit
    float[batch,embed_dim].
    """
    graph = Graph(precision, _external_data(path, model.text, precision))
    y = _text(graph, model.text, "text")
    source = helper.make_tensor_value_info("text", TensorProto.INT32, ["batch", "sequence"])
    graph.write(path, source, graph.unit(y), model.architecture.embed_dim)


def _external_data(path: Path, tower: nn.Module, precision: Precision) -> Path | None:
    size = sum(_BYTES[precision] * parameter.numel() for parameter in tower.parameters())
    return path.with_name(f"{path.name}.data") if size > MAX_FILE_BYTES else None


def _vit(graph: Graph, tower: VisionTransformer, x: str) -> str:
    width, patch = tower.conv1.out_channels, tower.conv1.kernel_size[0]
    x = graph.op("Conv", x, graph.weight(_array(tower.conv1.weight), axis=0), strides=[patch, patch])
    patches = graph.op("Transpose", graph.op("Reshape", x, _ints(graph, 0, width, -1)), perm=[0, 2, 1])
    batch = graph.op("Slice", graph.op("Shape", x), *(_ints(graph, end) for end in (0, 1)))
    shape = graph.op("Concat", batch, _ints(graph, 1, width), axis=0)
    first = graph.op("Expand", graph.constant(_array(tower.class_embedding)), shape)
    x = graph.op("Concat", first, patches, axis=1)
    x = graph.op("Add", x, graph.constant(_array(tower.positional_embedding)))
    x = _transformer(graph, tower.transformer, _norm(graph, tower.ln_pre, x), mask=None)
    x = _norm(graph, tower.ln_post, graph.op("Gather", x, graph.constant(0, np.int64), axis=1))
    return graph.linear(x, _array(tower.proj))


def _text(graph: Graph, tower: TextTransformer, ids: str) -> str:
    context = len(tower.positional_embedding)
    start, length = (
        _ints(graph, 0),
        graph.op("Slice", graph.op("Shape", ids), *(_ints(graph, end) for end in (1, 2))),
    )
    positions = graph.op("Slice", graph.constant(_array(tower.positional_embedding)), start, length, start)
    x = graph.op("Add", graph.rows(_array(tower.token_embedding.weight), ids), positions)
    causal = np.triu(np.full((context, context), -np.inf, np.float32), 1)
    lengths = graph.op("Concat", length, length, axis=0)
    mask = graph.op("Slice", graph.constant(causal), _ints(graph, 0, 0), lengths)
    x = _transformer(graph, tower.transformer, x, mask)
    at_end = ids
    if tower.eos_id is not None:
        at_end = graph.op(
            "Cast", graph.op("Equal", ids, graph.constant(tower.eos_id, np.int32)), to=TensorProto.INT32
        )
    x = graph.op(
        "GatherND", x, graph.op("ArgMax", at_end, axis=1), batch_dims=1
    )  # ArgMax: the first of several
    return graph.linear(_norm(graph, tower.ln_final, x), _array(tower.text_projection))


def _transformer(graph: Graph, transformer: Transformer, x: str, mask: str | None) -> str:
    """float[batch,sequence,width] -> the same shape; `mask` is added to the attention scores."""
    for block in transformer.resblocks:
        assert isinstance(block, ResidualBlock)
        x = graph.op("Add", x, _attention(graph, block, _norm(graph, block.ln_1, x), mask))
        hidden = _linear(graph, block.mlp.c_fc, _norm(graph, block.ln_2, x))
        gelu = _quick_gelu if isinstance(block.mlp.gelu, QuickGELU) else Graph.gelu
        x = graph.op("Add", x, _linear(graph, block.mlp.c_proj, gelu(graph, hidden)))
    return x


def _attention(graph: Graph, block: ResidualBlock, x: str, mask: str | None) -> str:
    attn = block.attn
    projected = graph.linear(x, _array(attn.in_proj_weight.T), _array(attn.in_proj_bias))
    query, key, value = graph.ops("Split", projected, outputs=3, axis=-1)
    mixed = _attend(graph, query, key, value, attn.in_proj_weight.shape[1], attn.heads, mask)
    return _linear(graph, attn.out_proj, mixed)


def _attend(graph: Graph, query: str, key: str, value: str, width: int, heads: int, mask: str | None) -> str:
    split, merge = _ints(graph, 0, 0, heads, width // heads), _ints(graph, 0, 0, width)
    query, value = (
        graph.op("Transpose", graph.op("Reshape", x, split), perm=[0, 2, 1, 3]) for x in (query, value)
    )
    key = graph.op("Transpose", graph.op("Reshape", key, split), perm=[0, 2, 3, 1])
    scores = graph.op("MatMul", graph.op("Mul", query, graph.constant((width // heads) ** -0.5)), key)
    scores = scores if mask is None else graph.op("Add", scores, mask)
    mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
    return graph.op("Reshape", graph.op("Transpose", mixed, perm=[0, 2, 1, 3]), merge)


def _resnet(graph: Graph, tower: ModifiedResNet, x: str) -> str:
    stem = ((tower.conv1, tower.bn1), (tower.conv2, tower.bn2), (tower.conv3, tower.bn3))
    for conv, norm in stem:
        x = graph.op("Relu", _conv(graph, conv, norm, x))
    x = _average(graph, tower.avgpool, x)
    for group in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        for block in group:
            assert isinstance(block, Bottleneck)
            x = _bottleneck(graph, block, x)
    return _attention_pool(graph, tower.attnpool, x)


def _bottleneck(graph: Graph, block: Bottleneck, x: str) -> str:
    y = graph.op("Relu", _conv(graph, block.conv1, block.bn1, x))
    y = graph.op("Relu", _conv(graph, block.conv2, block.bn2, y))
    y = _conv(graph, block.conv3, block.bn3, _average(graph, block.avgpool, y))
    if isinstance(block.downsample, nn.Sequential):
        pool, conv, norm = block.downsample
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        x = _conv(graph, conv, norm, _average(graph, pool, x))
    return graph.op("Relu", graph.op("Add", y, x))


def _attention_pool(graph: Graph, pool: AttentionPool, x: str) -> str:
    width = pool.q_proj.in_features
    positions = graph.op("Transpose", graph.op("Reshape", x, _ints(graph, 0, width, -1)), perm=[0, 2, 1])
    mean = graph.op("ReduceMean", positions, axes=[1], keepdims=1)
    positions = graph.op("Concat", mean, positions, axis=1)
    positions = graph.op("Add", positions, graph.constant(_array(pool.positional_embedding)))
    first = graph.op("Slice", positions, *(_ints(graph, place) for place in (0, 1, 1)))
    query = _linear(graph, pool.q_proj, first)
    key, value = (_linear(graph, each, positions) for each in (pool.k_proj, pool.v_proj))
    mixed = _attend(graph, query, key, value, width, pool.heads, mask=None)
    return _linear(graph, pool.c_proj, graph.op("Reshape", mixed, _ints(graph, 0, width)))


def _conv(graph: Graph, conv: nn.Conv2d, norm: nn.BatchNorm2d, x: str) -> str:
    """Convolution with the following batch norm folded into its weight and bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = _array(conv.weight * factor[:, None, None, None])
    bias = _array(norm.bias - norm.running_mean * factor)
    pad = conv.padding[0]
    assert isinstance(pad, int)
    return graph.op(
        "Conv",
        x,
        graph.weight(weight, axis=0),
        graph.constant(bias),
        strides=list(conv.stride),
        pads=[pad] * 4,
    )


def _average(graph: Graph, pool: nn.Module, x: str) -> str:
    if not isinstance(pool, nn.AvgPool2d) or pool.kernel_size == 1:
        return x
    size = [pool.kernel_size] * 2
    return graph.op("AveragePool", x, kernel_shape=size, strides=size)


def _linear(graph: Graph, linear: nn.Linear, x: str) -> str:
    return graph.linear(x, _array(linear.weight.T), _array(linear.bias))


def _norm(graph: Graph, norm: nn.LayerNorm, x: str) -> str:
    weight, bias = graph.constant(_array(norm.weight)), graph.constant(_array(norm.bias))
    return graph.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)


def _quick_gelu(graph: Graph, x: str) -> str:
    return graph.op("Mul", x, graph.op("Sigmoid", graph.op("Mul", x, graph.constant(1.702))))


def _ints(graph: Graph, *values: int) -> str:
    return graph.constant(list(values), np.int64)


def _array(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
