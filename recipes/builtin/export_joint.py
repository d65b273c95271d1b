"""Export of the joined model: the image tower with two parts, and the multilingual text tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx import TensorProto
from torch import Tensor

from .distil import Student
from .export import (
    CONTEXT_LENGTH,
    IMAGE_SHAPE,
    TEXT_SHAPE,
    array_of,
    finish,
    mean_tokens,
    photo_vectors,
    write_config,
    write_textual,
    write_visual,
)
from .graph import Graph
from .joint import Parts
from .model import Builtin
from .vocabulary import Vocabulary


def _join(graph: Graph, caption: str, conse: str, weight: float) -> str:
    first = graph.op("Mul", graph.unit(caption), graph.constant((1 - weight) ** 0.5))
    second = graph.op("Mul", graph.unit(conse), graph.constant(weight**0.5))
    return graph.op("Concat", first, second, axis=-1)


def joint_visual_graph(model: Builtin, conse: Tensor, parts: Parts) -> bytes:
    """`image`, float[batch,3,260,260] scaled to -1..1 -> `embedding`, unit float[batch,parts.width].

    The head of `model` gives parts.caption numbers (`Builtin.shorten`); `conse` are the class names'
    embeddings, float[1000,parts.conse].
    """
    graph = Graph()
    caption, share = photo_vectors(graph, model)
    y = _join(graph, caption, graph.linear(share, array_of(conse.T)), parts.weight)
    return finish(graph, y, "image", IMAGE_SHAPE, TensorProto.FLOAT, parts.width)


def student_graph(student: Student) -> bytes:
    """`text`, int32[batch,sequence] -> `embedding`, unit float[batch,width].

    Tokens equal to pad_id are masked. Token embeddings take 4 bits a number, the other weights 8.
    """
    graph, tower, parts = Graph(), student.tower, student.parts
    mean = mean_tokens(graph, tower, graph.rows4(array_of(tower.words.weight), "text"))
    x = graph.op("Sub", mean, graph.constant(array_of(student.mean)))
    hidden = graph.op("Mul", x, graph.constant(6.0))
    hidden = graph.gelu(graph.linear(hidden, array_of(student.up.weight), array_of(student.up.bias)))
    residual = graph.linear(hidden, array_of(student.down.weight), array_of(student.down.bias))
    direct = graph.linear(x, array_of(student.linear.weight), array_of(student.linear.bias))
    sizes = graph.constant([parts.caption, parts.conse], int)
    caption, conse = graph.ops("Split", graph.op("Add", direct, residual), sizes, outputs=2, axis=-1)
    y = _join(graph, caption, conse, parts.weight)
    return finish(graph, y, "text", TEXT_SHAPE, TensorProto.INT32, parts.width)


def write_joint_folder(
    folder: Path,
    visual: bytes,
    student: Student,
    vocabulary: Vocabulary,
    about: dict[str, Any],
) -> None:
    """Write the model folder; `about` is merged into the block "clipsight" of config.json."""
    special = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "model_max_length": CONTEXT_LENGTH,
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    write_visual(folder, visual)
    write_textual(folder, student_graph(student), vocabulary.document(), special)
    write_config(folder, student.parts.width, student.tower.shape, about)
