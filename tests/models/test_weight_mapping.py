"""Weights mapped from the model's own file: the same model, to the last bit."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from clipsight.models.weight_mapping import EXTERNAL_DATA_FOLDER, externalize_weights


def write_model(file: Path, *, raw: bool = True) -> None:
    """A model with a large and a small weight; not `raw`: the large one as repeated floats."""
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    large = numpy_helper.from_array(weights, "large")
    if not raw:
        large = helper.make_tensor("large", TensorProto.FLOAT, weights.shape, weights.ravel())
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "large"], ["y"]),
            helper.make_node("Reshape", ["y", "shape"], ["z"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [large, numpy_helper.from_array(np.array([-1, 8, 8]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(file))


def session(file: Path) -> onnxruntime.InferenceSession:
    graph = externalize_weights(file)
    assert graph is not None
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(file.parent))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("raw", [True, False])
def test_same_output_bit_for_bit(tmp_path: Path, raw: bool) -> None:
    write_model(tmp_path / "m.onnx", raw=raw)
    x = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    whole = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    (expected,) = whole.run(None, {"x": x})
    (got,) = session(tmp_path / "m.onnx").run(None, {"x": x})
    assert np.array_equal(got, expected)


def test_only_weights_are_left_out_of_the_graph(tmp_path: Path) -> None:
    write_model(tmp_path / "m.onnx")
    graph = externalize_weights(tmp_path / "m.onnx")
    assert graph is not None and len(graph) < 1000 < (tmp_path / "m.onnx").stat().st_size
    slim = onnx.load_from_string(graph)
    onnx.load_external_data_for_model(slim, str(tmp_path))
    whole = onnx.load(str(tmp_path / "m.onnx"))
    for one, other in zip(slim.graph.initializer, whole.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))
    for model in (slim, whole):
        del model.graph.initializer[:]
    assert slim == whole


def test_invalid_files_are_left_to_onnx_runtime(tmp_path: Path) -> None:
    assert externalize_weights(tmp_path / "missing.onnx") is None
    (tmp_path / "empty.onnx").touch()
    assert externalize_weights(tmp_path / "empty.onnx") is None
    write_model(tmp_path / "m.onnx")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "m.onnx").read_bytes()[:9000])
    assert externalize_weights(tmp_path / "cut.onnx") is None


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_left_to_onnx_runtime(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("any") / "m.onnx"
    file.write_bytes(content)
    externalize_weights(file)
