"""ONNX graph builder with int8 weights and float32 arithmetic.

Matrices and kernels are stored as int8 with a scale per output channel. ONNX Runtime folds `Cast` and `Mul`
of constants when a session is created, so that inference is float32 throughout; `DequantizeLinear` would be
more direct, but ONNX Runtime does not fold it by default.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from clipsight.export import onnx_graph
from clipsight.export.onnx_graph import Shape


class Graph(onnx_graph.Graph):
    """Nodes and constants of one model, in the order they are added."""

    def __init__(self, *, int8: bool = True) -> None:
        super().__init__("int8" if int8 else "fp32")

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """Linear layer in float32: float[...,in] @ weight.T float[out,in] + bias float[out]."""
        y = self.op("MatMul", x, self.weight(np.ascontiguousarray(weight.T), axis=1))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def serialise(
        self, name: str, shape: Shape, dtype: int, outputs: Mapping[str, tuple[str, Shape]]
    ) -> bytes:
        """Serialise the model: one input `name`, and named float outputs of a node and shape."""
        model = self.model(helper.make_tensor_value_info(name, dtype, shape), outputs)
        onnx.checker.check_model(model)
        return model.SerializeToString()
