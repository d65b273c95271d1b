"""A small ONNX graph builder with weights in fp32, fp16 or int8."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from clipsight.core.arrays import Float32

Precision = Literal["fp32", "fp16", "int8"]
Shape = list[str | int]
"""Sizes, or names of dynamic dimensions."""

OPSET = 17
"""The first opset with LayerNormalization; supported by every ONNX Runtime since 1.13 (2022)."""

_IR_VERSION = 8
# Bytes from which a constant is stored externally; shape inference expects shapes and axes in the graph.
_MIN_EXTERNAL_BYTES = 1024
# Elements from which a weight is stored in reduced precision; smaller tensors are norms and biases.
_MIN_QUANTISED_SIZE = 4096
# On x86 processors without VNNI, ONNX Runtime sums two products of a uint8 and an int8 in 16 bits, which
# 7-bit weights can't overflow: 2 * 255 * 64 < 2**15.
_INT8_PEAK = 64


class Graph:
    """Builder of an ONNX model, whose nodes and constants are in the order in which they are added.

    fp16: weights are stored as float16 and cast to float32 when a session is created; all arithmetic is
    float32.
    int8: weights are stored as int8 with a scale per output channel and cast to float32 as well, except in
    `linear`, which multiplies integers. With `data`, weights go to that file (ONNX's external data), because
    a model file is limited to 2 GB.
    """

    def __init__(self, precision: Precision, data: Path | None = None) -> None:
        """Start an empty graph; `data` must not exist yet."""
        self._precision = precision
        self._data = data
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        if data is not None:
            data.touch(exist_ok=False)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> Sequence[str]:
        """Add a node with several outputs; return their names."""
        names = [f"{kind.lower()}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """Add a constant without quantisation; return its name."""
        name = f"constant_{len(self._constants)}"
        array: NDArray[Any] = np.asarray(value, dtype)
        if self._data is None or array.nbytes < _MIN_EXTERNAL_BYTES:
            self._constants.append(numpy_helper.from_array(array, name))
            return name
        tensor = TensorProto(
            name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape
        )
        with self._data.open("ab") as stream:
            tensor.raw_data = b""  # required by `set_external_data`
            set_external_data(tensor, self._data.name, stream.tell(), array.nbytes)
            stream.write(np.ascontiguousarray(array).data)
        tensor.ClearField("raw_data")
        self._constants.append(tensor)
        return name

    def weight(self, array: Float32, axis: int) -> str:
        """Add a weight, for int8 with a scale per index of `axis`; return the name of its float32 value."""
        if array.size < _MIN_QUANTISED_SIZE or self._precision == "fp32":
            return self.constant(array)
        if self._precision == "fp16":
            return self._to_float(self.constant(array, np.float16))
        values, scale = quantise(array, axis, 127)
        return self.op("Mul", self._to_float(self.constant(values, np.int8)), self.constant(scale))

    def rows(self, table: Float32, indices: str) -> str:
        """Look up rows of `table`, float[rows,width]; only the selected rows are cast to float32."""
        if self._precision == "fp32":
            return self.op("Gather", self.constant(table), indices)
        if self._precision == "fp16":
            return self._to_float(self.op("Gather", self.constant(table, np.float16), indices))
        values, scale = quantise(table, 0, 127)
        found = self._to_float(self.op("Gather", self.constant(values, np.int8), indices))
        return self.op("Mul", found, self.op("Gather", self.constant(scale), indices))

    def linear(self, x: str, weight: Float32, bias: Float32 | None = None) -> str:
        """Linear layer: float[...,in] @ weight float[in,out] + bias float[out]."""
        if self._precision == "int8" and weight.size >= _MIN_QUANTISED_SIZE:
            y = self._int8_matmul(x, weight)
        else:
            y = self.op("MatMul", x, self.weight(weight, axis=1))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def unit(self, x: str) -> str:
        """Scale rows to unit length, as `torch.nn.functional.normalize`."""
        length = self.op("ReduceL2", x, axes=[-1], keepdims=1)
        return self.op("Div", x, self.op("Max", length, self.constant(1e-12)))

    def gelu(self, x: str) -> str:
        """Exact GELU, with the error function."""
        erf = self.op("Erf", self.op("Div", x, self.constant(2**0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.constant(1))), self.constant(0.5))

    def model(self, source: ValueInfoProto, outputs: Mapping[str, tuple[str, Shape]]) -> ModelProto:
        """Finish the model; `outputs` maps names of float outputs to a node's output and its shape."""
        for name, (node, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [node], [name]))
        value_infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, (_, shape) in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, source.name, [source], value_infos, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="clipsight")
        model.ir_version = _IR_VERSION
        return model

    def write(self, path: Path, source: ValueInfoProto, output: str, width: int) -> None:
        """Write the model to `path`, with the output `embedding`, float[batch,width]."""
        model = self.model(source, {"embedding": (output, ["batch", width])})
        path.write_bytes(model.SerializeToString())

    def _to_float(self, name: str) -> str:
        # ONNX Runtime folds the cast of a constant when a session is created.
        return self.op("Cast", name, to=TensorProto.FLOAT)

    def _int8_matmul(self, x: str, weight: Float32) -> str:
        """Integer matrix product: static scales per output of the weight, dynamic scales per row of `x`.

        A row (a patch of a photo, a token of a text) has its own scale (ZeroQuant, Yao et al. 2022), so that
        the result does not depend on the rest of the batch, and no calibration is needed.
        """
        peak = self.op("ReduceMax", self.op("Abs", x), axes=[-1], keepdims=1)
        step = self.op("Mul", self.op("Max", peak, self.constant(1e-12)), self.constant(1 / 127))
        middle = self.op("Add", self.op("Div", x, step), self.constant(128))
        whole = self.op("Cast", self.op("Round", middle), to=TensorProto.UINT8)
        values, scale = quantise(weight, 1, _INT8_PEAK)
        zero = self.constant(128, np.uint8)
        sums = self._to_float(self.op("MatMulInteger", whole, self.constant(values, np.int8), zero))
        return self.op("Mul", self.op("Mul", sums, step), self.constant(scale[0]))


def quantise(array: Float32, axis: int, peak: int) -> tuple[NDArray[np.int8], Float32]:
    """Quantise to int8 values of at most `peak` and float32 scales, one per index of `axis`.

    The product of both approximates `array`; the scales broadcast to its shape. Of several clipping points,
    each channel gets the one with the smallest squared error, because a single large weight would otherwise
    reduce the precision of the rest of its channel.
    """
    rest = tuple(each for each in range(array.ndim) if each != axis)
    largest = np.maximum(np.abs(array).max(axis=rest, keepdims=True), np.float32(1e-12))
    best_scale, least_error = largest / peak, np.full(largest.shape, np.inf)
    for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.7):
        scale = largest * np.float32(share / peak)
        error = np.square(_rounded(array, scale, peak) * scale - array).sum(axis=rest, keepdims=True)
        best_scale = np.where(error < least_error, scale, best_scale)
        least_error = np.minimum(error, least_error)
    return _rounded(array, best_scale, peak).astype(np.int8), best_scale.astype(np.float32)


def _rounded(array: Float32, scale: Float32, peak: int) -> Float32:
    whole: Float32 = np.clip(np.rint(array / scale), -peak, peak)
    return whole
