"""Model folders for tests: real ONNX graphs of a few kilobytes whose vectors mean something.

The visual graph averages the photo over a 4 x 4 grid and projects the colours, so that pictures that
look alike get vectors that lie close; the textual graph averages the vectors of the words, so that texts
that share words do. Every variant of input that published folders have can be asked for.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from clipsight.models.clip_bpe import END, clip_tokenizer
from clipsight.search.confidence import Calibration, LogisticModel, Spread

_VOCABULARY = 49408
_GRID = 4
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}


def make_model_folder(
    path: Path,
    *,
    dim: int = 32,
    size: int = 32,
    context: int = 77,
    name: str | None = None,
    text_inputs: Sequence[str] = ("text",),
    text_dtype: str = "int32",
    text_length: int | None = None,
    text_output: str = "embedding",
    image_input: str = "image",
    image_dtype: str = "float32",
    image_layout: str = "NCHW",
    image_output: str = "embedding",
    output_dtype: str = "float32",
    extra_outputs: bool = False,
    fixed_batch: int | None = None,
    fixed_size: bool = True,
    preprocess: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    text_config: Mapping[str, Any] | None = None,
    clipsight: Mapping[str, Any] | None = None,
    calibrated: bool = True,
    seed: int = 0,
) -> Path:
    """Write a model folder at `path` and return it; folders with the same arguments are equal.

    Another `seed` is another model. `text_inputs` may add `attention_mask` and `token_type_ids`;
    `text_length` and `fixed_batch` make a free side of the graphs fixed; a `uint8` image is normalised in
    the graph; `extra_outputs` adds a second output of the same shape, and one of another, to each graph.
    `config`, `text_config`, `clipsight` and `preprocess` add to, or replace, what the JSON files say. With
    `calibrated` the model has a calibration, by which a text fits from a cosine of 0.5.
    """
    path = Path(path)
    for tower in ("visual", "textual"):
        (path / tower).mkdir(parents=True, exist_ok=True)
    preprocess_cfg = {
        "size": [size, size],
        "mode": "RGB",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    } | dict(preprocess or {})
    visual = _visual_graph(
        dim, size if fixed_size else None, image_input, image_dtype, image_layout, image_output, output_dtype,
        extra_outputs, fixed_batch, preprocess_cfg, seed,
    )  # fmt: skip
    textual = _textual_graph(
        dim, tuple(text_inputs), text_dtype, text_length, text_output, output_dtype, extra_outputs,
        fixed_batch, seed,
    )  # fmt: skip
    onnx.save(visual, path / "visual" / "model.onnx")
    onnx.save(textual, path / "textual" / "model.onnx")
    (path / "textual" / "tokenizer.json").write_text(_tokenizer_json())
    _write_json(path / "textual" / "tokenizer_config.json", {"pad_token": END})
    _write_json(path / "visual" / "preprocess_cfg.json", preprocess_cfg)
    whole = {
        "embed_dim": dim,
        "vision_cfg": {"image_size": size},
        "text_cfg": {"context_length": context, "vocab_size": _VOCABULARY} | dict(text_config or {}),
    } | dict(config or {})
    own = ({"name": name} if name else {}) | dict(clipsight or {})
    _write_json(path / "config.json", whole | ({"clipsight": own} if own else {}))
    if calibrated:
        make_calibration(dim).write(path)
    return path


def add_multilingual_tower(folder: Path, english: Sequence[str], seed: int = 1) -> Path:
    """Add a second text tower to a folder of `make_model_folder`, for texts of other words than `english`.

    It is the text tower of the model of this `seed`.
    """
    config = json.loads((folder / "config.json").read_text())
    other = make_model_folder(folder / "other", dim=config["embed_dim"], seed=seed)
    (other / "textual").rename(folder / "multilingual")
    shutil.rmtree(other)
    (folder / "multilingual" / "english.txt").write_text("\n".join(english) + "\n", encoding="utf-8")
    return folder


def make_calibration(dim: int) -> Calibration:
    """A calibration by which a text fits a photo from a cosine of 0.5, and queries may be English."""
    spread = Spread(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32))
    regression = LogisticModel(np.array([20.0, 0, 0, 0, 0]), np.zeros(dim), -10.0)
    return Calibration(
        spread, spread, regression, regression, threshold=0.5, relaxation=0.0, languages=("en",)
    )


def make_model_blind_to_black(path: Path, **options: Any) -> Path:
    """Write a model folder whose vector of a black photo is zero; other photos have unit vectors."""
    make_model_folder(path, preprocess={"mean": [0, 0, 0], "std": [1, 1, 1]}, **options)
    graph = onnx.load(path / "visual" / "model.onnx")
    for weights in graph.graph.initializer:
        if weights.data_type == TensorProto.FLOAT and len(weights.dims) == 1:
            weights.CopyFrom(numpy_helper.from_array(np.zeros(weights.dims, np.float32), weights.name))
    onnx.save(graph, path / "visual" / "model.onnx")
    return path


@lru_cache(maxsize=1)
def _tokenizer_json() -> str:
    return clip_tokenizer().to_str()


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2))


def _visual_graph(
    dim: int,
    size: int | None,
    input_name: str,
    dtype: str,
    layout: str,
    output_name: str,
    output_dtype: str,
    extra_outputs: bool,
    batch: int | None,
    preprocess: Mapping[str, Any],
    seed: int,
) -> onnx.ModelProto:
    graph = _Graph()
    sides: list[Any] = [3, size or "height", size or "width"]
    if layout == "NHWC":
        sides = [*sides[1:], sides[0]]
    graph.input(input_name, dtype, [batch or "batch", *sides])
    value = graph.add("Cast", [input_name], to=TensorProto.FLOAT)
    if layout == "NHWC":
        value = graph.add("Transpose", [value], perm=[0, 3, 1, 2])
    if dtype == "uint8":
        mean, std = (np.float32(preprocess[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
        value = graph.add("Div", [value, graph.constant(np.float32(255))])
        value = graph.add("Div", [graph.add("Sub", [value, graph.constant(mean)]), graph.constant(std)])
    # A grid of averages whatever the size of the photo.
    shape = graph.constant(np.array([_GRID, _GRID], np.int64))
    channels = graph.add("Slice", [graph.add("Shape", [value]), *graph.constants([0], [2])])
    target = graph.add("Concat", [channels, shape], axis=0)
    value = graph.add(
        "Resize",
        [value, "", "", target],
        mode="linear",
        antialias=1,
        coordinate_transformation_mode="half_pixel",
    )
    value = graph.add("Flatten", [value])
    weights = np.random.default_rng(seed).standard_normal((3 * _GRID * _GRID, dim)).astype(np.float32)
    value = graph.add("MatMul", [value, graph.constant(weights)])
    # A photo of one even colour equal to the mean must not become the zero vector.
    bias = np.random.default_rng(seed + 1).standard_normal(dim).astype(np.float32)
    value = graph.add("Add", [value, graph.constant(bias)])
    return graph.finish(value, output_name, output_dtype, [batch or "batch", dim], extra_outputs)


def _textual_graph(
    dim: int,
    inputs: tuple[str, ...],
    dtype: str,
    length: int | None,
    output_name: str,
    output_dtype: str,
    extra_outputs: bool,
    batch: int | None,
    seed: int,
) -> onnx.ModelProto:
    """The sum of the words' vectors, the end-of-text token (also the padding) counting nothing."""
    graph = _Graph()
    for name in inputs:
        graph.input(name, dtype, [batch or "batch", length or "tokens"])
    ids = next(name for name in inputs if name not in ("attention_mask", "token_type_ids"))
    # 512 vectors for 49,408 tokens keep the file small.
    table = np.random.default_rng(seed + 2).standard_normal((512, dim)).astype(np.float32)
    rows = graph.add("Mod", [graph.add("Cast", [ids], to=TensorProto.INT64), *graph.constants(512)])
    vectors = graph.add("Gather", [graph.constant(table), rows])
    weights = graph.add("Cast", [graph.add("Less", [ids, graph.typed(_VOCABULARY - 1, dtype)])], to=1)
    for mask in inputs:
        if mask == "attention_mask":
            weights = graph.add("Mul", [weights, graph.add("Cast", [mask], to=TensorProto.FLOAT)])
        if mask == "token_type_ids":
            zero = graph.add("Equal", [mask, graph.typed(0, dtype)])
            weights = graph.add("Mul", [weights, graph.add("Cast", [zero], to=TensorProto.FLOAT)])
    weighted = graph.add("Mul", [vectors, graph.add("Unsqueeze", [weights, *graph.constants([2])])])
    value = graph.add("ReduceSum", [weighted, *graph.constants([1])], keepdims=0)
    return graph.finish(value, output_name, output_dtype, [batch or "batch", dim], extra_outputs)


class _Graph:
    """An ONNX graph under construction; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.weights: list[onnx.TensorProto] = []

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))

    def constant(self, values: np.ndarray[Any, Any] | np.generic) -> str:
        name = f"weights_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def constants(self, *values: Any) -> list[str]:
        return [self.constant(np.array(value, np.int64)) for value in values]

    def typed(self, value: int, dtype: str) -> str:
        return self.constant(np.array(value, dtype))

    def add(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def finish(
        self, value: str, name: str, dtype: str, shape: Sequence[int | str], extra: bool
    ) -> onnx.ModelProto:
        self.add("Cast", [value], output=name, to=_TYPES[dtype])
        outputs = [helper.make_tensor_value_info(name, _TYPES[dtype], shape)]
        if extra:
            self.add("Neg", [name], output="other")
            self.add("Unsqueeze", [name, *self.constants([1])], output="last_hidden_state")
            outputs.insert(0, helper.make_tensor_value_info("other", _TYPES[dtype], shape))
            hidden = [shape[0], 1, shape[1]]
            outputs.insert(0, helper.make_tensor_value_info("last_hidden_state", _TYPES[dtype], hidden))
        graph = helper.make_graph(self.nodes, "tiny", self.inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model
