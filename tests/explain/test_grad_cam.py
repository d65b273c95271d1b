"""Grad-CAM agrees with the paper: for checkpoints by hooks, for ONNX graphs by gradients in PyTorch."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from clipsight.clip.checkpoint import save
from clipsight.core.errors import ModelError
from clipsight.explain.base import Settings
from clipsight.explain.grad_cam import FeatureMap, GradCamRegions
from clipsight.explain.onnx_model import OnnxModel
from clipsight.export.export import export_model
from clipsight.models import registry
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from tests.support.checkpoints import QUERY, RESNET, VIT, make_model, noise
from tests.support.samples import SAMPLES
from tests.support.tiny_models import make_model_folder

pytestmark = pytest.mark.torch

Heat = npt.NDArray[np.floating[Any]]


# Large enough for more than the four places of RESNET.
LARGE = replace(RESNET, vision_cfg=replace(RESNET.vision_cfg, image_size=128))


def onnx_model(folder: Path) -> OnnxModel:
    return OnnxModel(Encoder(ModelFolder.read(folder), threads=1))


def reference(features: Tensor, score: Tensor) -> Heat:
    """Equations 1 and 2 of Selvaraju et al. 2017."""
    (gradient,) = torch.autograd.grad(score, features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    heat: Heat = (weights * features).sum(dim=1).relu()[0].detach().numpy()
    return heat


def assert_near(found: Heat, wanted: Heat, share: float) -> None:
    """Within `share` of the highest."""
    assert wanted.max() > 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=share * wanted.max())


def test_a_checkpoints_resnet() -> None:
    model, twin = make_model(LARGE), make_model(LARGE).clip.requires_grad_(True)
    pixels, query = noise(model), -model.encode_texts([QUERY])[0]  # by chance, QUERY itself has no heat
    kept: list[Tensor] = []
    twin.visual.get_submodule("layer4").register_forward_hook(lambda _m, _a, output: kept.append(output))
    score = twin.encode_image(model.image_input([pixels]))[0] @ torch.from_numpy(query)

    heat = GradCamRegions(model, Settings()).explain_region(query, pixels).heat

    assert heat.shape == (4, 4)
    assert_near(heat, reference(kept[0], score), 1e-4)


def test_its_export_has_the_same_heat(tmp_path: Path) -> None:
    model = make_model(LARGE)
    save(model.clip, tmp_path / "checkpoint", "openclip")
    export_model(tmp_path / "checkpoint", tmp_path / "onnx", list(SAMPLES.values())[:2])
    exported = onnx_model(tmp_path / "onnx")
    assert GradCamRegions.unsupported(exported) is None
    query = -model.encode_texts([QUERY])[0]
    one, other = (
        GradCamRegions(each, Settings()).explain_region(query, noise(model)).heat
        for each in (model, exported)
    )
    assert_near(other, one, 0.01)


# What stands in the second part of the builtin model's graph, on tensors.
OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Cast": lambda x, to: x,
    "Clip": torch.clamp,
    "Concat": lambda *parts, axis: torch.cat(parts, dim=axis),
    "Div": torch.div,
    "Erf": torch.erf,
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "GlobalAveragePool": lambda x: x.mean(dim=(2, 3), keepdim=True),
    "Identity": lambda x: x,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Mul": torch.mul,
    "ReduceL2": lambda x, axes, keepdims: x.norm(dim=axes, keepdim=bool(keepdims)),
    "Relu": torch.relu,
    "Slice": lambda x, start, end, axis: x.narrow(int(axis), int(start), int(end) - int(start)),
    "Softmax": lambda x, axis: x.softmax(dim=axis),
    "Sub": torch.sub,
}


def test_the_builtin_model() -> None:
    """Its second part node by node in PyTorch, in double precision."""
    model = onnx_model(registry.builtin_folder())
    pixels = model.preprocess(Image.open(SAMPLES["cat.png"]).convert("RGB"))
    query = model.encode_texts(["a cat"])[0]
    explainer = FeatureMap(model.encoder)
    features, sides = explainer._features(pixels)
    graph = onnx.load(registry.builtin_folder() / "visual" / "model.onnx").graph
    values = {
        each.name: _double(torch.from_numpy(numpy_helper.to_array(each).copy())) for each in graph.initializer
    }
    start = _double(torch.from_numpy(features)).requires_grad_()
    given = (start, *(_double(torch.from_numpy(side)) for side in sides))
    values |= dict(zip(explainer._names, given, strict=True))
    for node in graph.node:
        if all(name in values for name in node.input) and node.output[0] not in values:
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            inputs = (values[name] for name in node.input)
            values[node.output[0]] = OPERATIONS[node.op_type](*inputs, **attributes)
    score = F.normalize(values["embedding"][0], dim=0) @ torch.from_numpy(query).double()

    heat = GradCamRegions(model, Settings()).explain_region(query, pixels).heat

    assert heat.shape == (9, 9)
    assert_near(heat, reference(start, score), 0.01)


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() or tensor.dtype == torch.int8 else tensor


@pytest.mark.parametrize(
    ("dtype", "layout", "batch"),
    [("float32", "NCHW", None), ("float32", "NCHW", 2), ("uint8", "NHWC", None), ("float32", "NCHW", 1)],
)
def test_graphs_of_every_input(tmp_path: Path, dtype: str, layout: str, batch: int | None) -> None:
    """A squeeze-and-excitation gate, a swish and a residual sum after the last convolution, then a mean."""
    model = onnx_model(convolutional_folder(tmp_path, dtype, layout, batch))
    assert GradCamRegions.unsupported(model) is None
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    query = model.encode_texts(["red flower"])[0]
    weights = onnx.load(tmp_path / "visual" / "model.onnx").graph.initializer
    conv, project = (torch.from_numpy(numpy_helper.to_array(weights[at]).copy()) for at in (0, 1))
    image = np.moveaxis(pixels, -1, 0)[None].astype(np.float32) / 255
    if dtype == "float32":  # else the graph has this mean and deviation of its own
        image = (image - 0.5) / 0.25
    features = _block(torch.from_numpy(image), conv).requires_grad_()
    score = F.normalize(features.mean(dim=(2, 3)) @ project)[0] @ torch.from_numpy(query)

    told: list[int] = []
    settings = Settings(progress=lambda _what, done, total: told.append(total - done))
    heat = GradCamRegions(model, settings).explain_region(query, pixels).heat

    assert_near(heat, reference(features, score), 0.01)
    assert told[-1] == 0


def test_features_of_zeros_have_no_heat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx_model(convolutional_folder(tmp_path))
    nothing: tuple[object, list[object]] = np.zeros((1, 6, 8, 8), np.float32), []
    monkeypatch.setattr(FeatureMap, "_features", lambda self, pixels: nothing)
    query, pixels = model.encode_texts(["red"])[0], np.zeros((32, 32, 3), np.uint8)
    heat = GradCamRegions(model, Settings()).explain_region(query, pixels).heat
    np.testing.assert_array_equal(heat, np.zeros((8, 8)))


@pytest.mark.parametrize("which", ["tiny", "vit"])
def test_towers_without_a_last_convolution_are_refused(which: str, tmp_path: Path) -> None:
    if which == "tiny":
        folder = make_model_folder(tmp_path / "tiny")
    else:
        save(make_model().clip, tmp_path / "checkpoint", "openclip")
        folder = tmp_path / "onnx"
        export_model(tmp_path / "checkpoint", folder, list(SAMPLES.values())[:2])
    model = onnx_model(folder)
    assert GradCamRegions.unsupported(model) == "whose image tower does not end with convolutions"
    with pytest.raises(ModelError, match="does not end with convolutions"):
        GradCamRegions(model, Settings())


def test_a_checkpoints_vit_has_none() -> None:
    assert "Vision Transformer" in str(GradCamRegions.unsupported(make_model(VIT)))


def _block(x: Tensor, weight: Tensor) -> Tensor:
    y = F.conv2d(x, weight, stride=4)
    y = y * torch.sigmoid(y)
    return y * torch.sigmoid(y.mean(dim=(2, 3), keepdim=True)) + y


def convolutional_folder(
    path: Path, dtype: str = "float32", layout: str = "NCHW", batch: int | None = None
) -> Path:
    """The tiny model with another image tower: `_block`, the mean over places, a projection."""
    folder = make_model_folder(path, image_dtype=dtype, image_layout=layout, fixed_batch=batch)
    file = folder / "visual" / "preprocess_cfg.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mean": 0.5, "std": 0.25}))
    rng = np.random.default_rng(0)
    weights = {
        "conv": rng.standard_normal((6, 3, 4, 4)).astype(np.float32) / 4,
        "project": rng.standard_normal((6, 32)).astype(np.float32),
        "byte": np.float32(255),
    }
    nodes = []
    if dtype == "uint8":
        nodes += [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["float", "byte"], ["scaled"]),
            helper.make_node("Transpose", ["scaled"], ["x"], perm=[0, 3, 1, 2]),
        ]
    nodes += [
        helper.make_node("Conv", ["x" if nodes else "image", "conv"], ["c"], strides=[4, 4]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["c", "s"], ["swish"]),
        helper.make_node("GlobalAveragePool", ["swish"], ["squeezed"]),
        helper.make_node("Sigmoid", ["squeezed"], ["gate"]),
        helper.make_node("Mul", ["swish", "gate"], ["gated"]),
        helper.make_node("Add", ["gated", "swish"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "project"], ["embedding"]),
    ]
    kind = TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT
    sides = [32, 32, 3] if layout == "NHWC" else [3, 32, 32]
    graph = helper.make_graph(
        nodes,
        "visual",
        [helper.make_tensor_value_info("image", kind, [batch or "batch", *sides])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch or "batch", 32])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "visual" / "model.onnx")
    return folder
