"""A small ONNX graph writer whose weights are stored in a quarter of their size and widened at load.

Matrices and kernels are kept as int8 with one scale an output channel. `Cast` and `Mul` on constants are
folded by ONNX Runtime when a session is created, with its default optimisation, so that a run computes in
float32 throughout; `DequantizeLinear` says the same more directly, but ONNX Runtime does not fold it by
default.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
"""New enough for LayerNormalization, old enough for any ONNX Runtime of the last years."""

Shape = list[str | int]
"""Sizes, or names of sizes that a run decides."""

_IR_VERSION = 8
_SMALLEST_INT8 = 4096
"""Tensors below this many elements are kept in float32: they weigh nothing and are often biases."""


def quantise(array: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale for each index of `axis`.

    Of a few clipping points the one with the least squared error is taken, channel by channel: a single large
    weight would otherwise cost all others of its channel their precision.
    """
    rest = tuple(i for i in range(array.ndim) if i != axis)
    peak = np.maximum(np.abs(array).max(axis=rest, keepdims=True), 1e-12)
    best_scale = peak / 127
    best_error = np.full(peak.shape, np.inf)
    for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.7):
        scale = peak * share / 127
        error = ((np.clip(np.rint(array / scale), -127, 127) * scale - array) ** 2).sum(
            axis=rest, keepdims=True
        )
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    return np.clip(np.rint(array / best_scale), -127, 127).astype(np.int8), best_scale.astype(np.float32)


class Graph:
    """Nodes and constants of one model, in the order they are added."""

    def __init__(self, *, int8: bool = True) -> None:
        self._int8 = int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output; return the output's name."""
        name = str(attributes.pop("name", f"{kind.lower()}_{len(self._nodes)}"))
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, array: object, dtype: type = np.float32) -> str:
        """Add a constant as it is; return its name."""
        name = f"constant_{len(self._constants)}"
        values = np.ascontiguousarray(np.asarray(array, dtype=dtype)).reshape(np.shape(array))
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, array: NDArray[np.float32], axis: int) -> str:
        """Add a weight, int8 with one scale an index of `axis` if that saves anything; return its name."""
        if array.size < _SMALLEST_INT8 or not self._int8:
            return self.constant(array)
        values, scale = quantise(array, axis)
        wide = self.op("Cast", self.constant(values, np.int8), to=TensorProto.FLOAT)
        return self.op("Mul", wide, self.constant(scale))

    def rows(self, table: NDArray[np.float32], indices: str) -> str:
        """The rows of an int8 table, widened only after they are looked up."""
        values, scale = quantise(table, axis=0)
        wide = self.op(
            "Cast", self.op("Gather", self.constant(values, np.int8), indices), to=TensorProto.FLOAT
        )
        return self.op("Mul", wide, self.op("Gather", self.constant(scale), indices))

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """x @ weight.T + bias, weight being float[out,in] as PyTorch keeps it."""
        y = self.op("MatMul", x, self.weight(np.ascontiguousarray(weight.T), axis=1))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def gelu(self, x: str) -> str:
        """The exact GELU, by the error function."""
        erf = self.op("Erf", self.op("Mul", x, self.constant(2**-0.5)))
        gate = self.op("Mul", self.op("Add", erf, self.constant(1.0)), self.constant(0.5))
        return self.op("Mul", x, gate)

    def unit(self, x: str) -> str:
        """Each row scaled to unit length."""
        norm = self.op("ReduceL2", x, axes=[-1], keepdims=1)
        return self.op("Div", x, self.op("Max", norm, self.constant(1e-12)))

    def model(self, outputs: Mapping[str, Shape], name: str, shape: Shape, dtype: int) -> bytes:
        """Serialise: one input `name` of `shape` and `dtype`, and the named float outputs."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(name, dtype, shape)],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, value) for key, value in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="clipsight"
        )
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model)
        return model.SerializeToString()
