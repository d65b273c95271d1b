"""Export of the multilingual text tower, and of the model folder that joins it with the image tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx import TensorProto

from .export import (
    CONTEXT_LENGTH,
    TEXT_SHAPE,
    array_of,
    finish,
    mean_tokens,
    write_config,
    write_textual,
    write_visual,
)
from .graph import Graph
from .multilingual import MultilingualTower
from .student import Student


def student_graph(student: Student) -> bytes:
    """`text`, int32[batch,sequence] -> `embedding`, unit float[batch,width].

    Tokens equal to pad_id are masked. Token embeddings take 4 bits a number, the other weights 8.
    """
    graph, tower = Graph(), student.tower
    mean = mean_tokens(graph, tower, graph.rows4(array_of(tower.words.weight), "text"))
    x = graph.op("Sub", mean, graph.constant(array_of(student.mean)))
    hidden = graph.op("Mul", x, graph.constant(6.0))
    hidden = graph.gelu(graph.linear(hidden, array_of(student.up.weight), array_of(student.up.bias)))
    residual = graph.linear(hidden, array_of(student.down.weight), array_of(student.down.bias))
    direct = graph.linear(x, array_of(student.linear.weight), array_of(student.linear.bias))
    y = graph.op("Add", direct, residual)
    return finish(graph, y, "text", TEXT_SHAPE, TensorProto.INT32, student.linear.out_features)


def write_multilingual(
    folder: Path, visual: bytes, tower: MultilingualTower, scale: float, about: dict[str, Any]
) -> None:
    """Write the model folder; the other arguments are as of `export.write_folder`."""
    special = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "model_max_length": CONTEXT_LENGTH,
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    student = tower.student
    write_visual(folder, visual)
    write_textual(folder, student_graph(student), tower.vocabulary.document(), special)
    about = {"logit_scale": round(scale, 3), **about}
    write_config(folder, student.linear.out_features, student.tower.shape, about)
