"""The graph writer: what its nodes compute, and the rounding errors of quantised weights."""

import math

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from clipsight.export.onnx_graph import Graph, Precision, quantise


def test_quantisation_errors_are_at_most_half_a_step_without_clipping() -> None:
    array = np.random.default_rng(0).uniform(-1, 1, (8, 300)).astype(np.float32)
    values, scale = quantise(array, 0, 127)
    assert values.dtype == np.int8 and scale.shape == (8, 1)
    kept = np.abs(values) < 127  # where it pays, the largest are clipped
    assert (np.abs(values * scale - array) <= 0.5001 * scale)[kept].all()
    assert ((values * scale - array) ** 2).mean() <= (scale.max() / 2) ** 2


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-6), ("fp16", 2e-3), ("int8", 0.02)])
def test_a_graph_computes_the_same_as_numpy(precision: Precision, near: float) -> None:
    """gelu(x @ weight + bias), scaled to unit length, and the rows of a table: two outputs by name."""
    rng = np.random.default_rng(0)
    weight, table = (rng.normal(size=shape).astype(np.float32) for shape in ((64, 80), (90, 80)))
    bias, x = rng.normal(size=80).astype(np.float32), rng.normal(size=(3, 64)).astype(np.float32)
    graph = Graph(precision)
    unit = graph.unit(graph.gelu(graph.linear("x", weight, bias)))
    rows = graph.rows(table, graph.constant([5, 0], np.int64))
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])
    model = graph.model(source, {"unit": (unit, ["batch", 80]), "rows": (rows, [2, 80])})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found, looked_up = session.run(["unit", "rows"], {"x": x})
    z = (x @ weight + bias).astype(np.float64)
    error_function = np.vectorize(math.erf)
    expected = z * (1 + error_function(z / np.sqrt(2))) / 2
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(found - expected).max() <= near
    assert np.abs(looked_up - table[[5, 0]]).max() <= near * 2
