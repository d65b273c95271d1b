"""A small ONNX graph writer: nodes in the order they run, and weights in the precision they are kept in.

`onnx_towers` writes CLIP's towers with it, recipes those of their models.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

Precision = Literal["fp32", "fp16", "int8"]
Floats = NDArray[np.float32]
Shape = list[str | int]
"""Sizes, or names of sizes that a run decides."""

OPSET = 17
"""New enough for LayerNormalization, old enough for every ONNX Runtime of the last years."""

_IR_VERSION = 8
# Weights of fewer bytes stay in the graph itself, where what reads shapes and axes expects them.
_SMALLEST_EXTERNAL = 1024
# Smaller tensors are norms and biases: they weigh nothing.
_SMALLEST_NARROW = 4096
# On x86 processors without VNNI, ONNX Runtime adds two products of a uint8 and an int8 in 16 bits. Weights
# of 7 bits can't overflow there, whatever the processor: 2 * 255 * 64 < 2**15.
_INT8_PEAK = 64


class Graph:
    """Nodes and constants of one model, in the order they are added.

    fp16: weights are kept as float16 and widened when a session is created; every sum is a float32's.
    int8: so are they, with a scale for each output channel, but for `linear`, which multiplies integers.
    With `data`, that file receives the weights (ONNX's external data); a model file holds 2 GB at most.
    """

    def __init__(self, precision: Precision, data: Path | None = None) -> None:
        self._precision = precision
        self._data = data
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        if data is not None:
            data.touch(exist_ok=False)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; its name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> Sequence[str]:
        """Add a node with several outputs; their names."""
        names = [f"{kind.lower()}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """Add a constant as it is; its name."""
        name = f"constant_{len(self._constants)}"
        array: NDArray[Any] = np.asarray(value, dtype)
        if self._data is None or array.nbytes < _SMALLEST_EXTERNAL:
            self._constants.append(numpy_helper.from_array(array, name))
            return name
        tensor = TensorProto(
            name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape
        )
        with self._data.open("ab") as stream:
            tensor.raw_data = b""  # what `set_external_data` asks for
            set_external_data(tensor, self._data.name, stream.tell(), array.nbytes)
            stream.write(np.ascontiguousarray(array).data)
        tensor.ClearField("raw_data")
        self._constants.append(tensor)
        return name

    def weight(self, array: Floats, axis: int) -> str:
        """Add a weight, for int8 with one scale for each index of `axis`; its name, as float32."""
        if array.size < _SMALLEST_NARROW or self._precision == "fp32":
            return self.constant(array)
        if self._precision == "fp16":
            return self._wide(self.constant(array, np.float16))
        values, scale = quantise(array, axis, 127)
        return self.op("Mul", self._wide(self.constant(values, np.int8)), self.constant(scale))

    def rows(self, table: Floats, indices: str) -> str:
        """The rows of `table` at `indices`, widened only after they are looked up."""
        if self._precision == "fp32":
            return self.op("Gather", self.constant(table), indices)
        if self._precision == "fp16":
            return self._wide(self.op("Gather", self.constant(table, np.float16), indices))
        values, scale = quantise(table, 0, 127)
        found = self._wide(self.op("Gather", self.constant(values, np.int8), indices))
        return self.op("Mul", found, self.op("Gather", self.constant(scale), indices))

    def linear(self, x: str, weight: Floats, bias: Floats | None = None) -> str:
        """float[...,in] @ weight + bias, `weight` being float[in,out]."""
        if self._precision == "int8" and weight.size >= _SMALLEST_NARROW:
            y = self._int8_matmul(x, weight)
        else:
            y = self.op("MatMul", x, self.weight(weight, axis=1))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def unit(self, x: str) -> str:
        """Each row scaled to unit length, as `torch.nn.functional.normalize`."""
        length = self.op("ReduceL2", x, axes=[-1], keepdims=1)
        return self.op("Div", x, self.op("Max", length, self.constant(1e-12)))

    def gelu(self, x: str) -> str:
        """The exact GELU, by the error function."""
        erf = self.op("Erf", self.op("Div", x, self.constant(2**0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.constant(1))), self.constant(0.5))

    def model(self, source: ValueInfoProto, outputs: Mapping[str, tuple[str, Shape]]) -> ModelProto:
        """The whole, from the input `source` to the named outputs, each a node's and a float of its shape."""
        for name, (node, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [node], [name]))
        told = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, (_, shape) in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, source.name, [source], told, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="clipsight")
        model.ir_version = _IR_VERSION
        return model

    def write(self, path: Path, source: ValueInfoProto, output: str, width: int) -> None:
        """Write the model to `path`: from the input `source` to `embedding`, float[batch,width]."""
        model = self.model(source, {"embedding": (output, ["batch", width])})
        path.write_bytes(model.SerializeToString())

    def _wide(self, name: str) -> str:
        # ONNX Runtime computes this once, as a session is created, where `name` is a constant.
        return self.op("Cast", name, to=TensorProto.FLOAT)

    def _int8_matmul(self, x: str, weight: Floats) -> str:
        """Integers times integers: a weight has a scale for each output, `x` one for each row, as it comes.

        A row (a patch of a photo, a token of a text) has its own scale (ZeroQuant, Yao et al. 2022), so that
        what else is in the batch changes nothing, and no range has to be guessed beforehand.
        """
        peak = self.op("ReduceMax", self.op("Abs", x), axes=[-1], keepdims=1)
        step = self.op("Mul", self.op("Max", peak, self.constant(1e-12)), self.constant(1 / 127))
        middle = self.op("Add", self.op("Div", x, step), self.constant(128))
        whole = self.op("Cast", self.op("Round", middle), to=TensorProto.UINT8)
        values, scale = quantise(weight, 1, _INT8_PEAK)
        zero = self.constant(128, np.uint8)
        sums = self._wide(self.op("MatMulInteger", whole, self.constant(values, np.int8), zero))
        return self.op("Mul", self.op("Mul", sums, step), self.constant(scale[0]))


def quantise(array: Floats, axis: int, peak: int) -> tuple[NDArray[np.int8], Floats]:
    """Whole numbers of at most `peak`, and what to multiply them with: one scale for each index of `axis`.

    Of a few clipping points each channel gets the one with the least squared error: a single large weight
    would otherwise cost all others of its channel their precision.
    """
    rest = tuple(each for each in range(array.ndim) if each != axis)
    largest = np.maximum(np.abs(array).max(axis=rest, keepdims=True), np.float32(1e-12))
    best_scale, least = largest / peak, np.full(largest.shape, np.inf)
    for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.7):
        scale = largest * np.float32(share / peak)
        error = np.square(_rounded(array, scale, peak) * scale - array).sum(axis=rest, keepdims=True)
        best_scale = np.where(error < least, scale, best_scale)
        least = np.minimum(error, least)
    return _rounded(array, best_scale, peak).astype(np.int8), best_scale.astype(np.float32)


def _rounded(array: Floats, scale: Floats, peak: int) -> Floats:
    whole: Floats = np.clip(np.rint(array / scale), -peak, peak)
    return whole
