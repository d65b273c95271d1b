"""The graph writer of CLIP's towers, with weights that take a quarter of the room and run as exactly.

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
from onnx import helper

from clipsight.export import onnx_graph
from clipsight.export.onnx_graph import Shape


class Graph(onnx_graph.Graph):
    """Nodes and constants of one model, in the order they are added."""

    def __init__(self, *, int8: bool = True) -> None:
        super().__init__("int8" if int8 else "fp32")

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """x @ weight.T + bias, weight being float[out,in] as PyTorch keeps it; computed in float32."""
        y = self.op("MatMul", x, self.weight(np.ascontiguousarray(weight.T), axis=1))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def serialise(
        self, name: str, shape: Shape, dtype: int, outputs: Mapping[str, tuple[str, Shape]]
    ) -> bytes:
        """The whole: one input `name` of `shape` and `dtype`, and the named float outputs, each a node's."""
        model = self.model(helper.make_tensor_value_info(name, dtype, shape), outputs)
        onnx.checker.check_model(model)
        return model.SerializeToString()
