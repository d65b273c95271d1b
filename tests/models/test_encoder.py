"""Unit vectors from every kind of published graph, and clear errors for others."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from clipsight.core.errors import InvalidVectorError, ModelError
from clipsight.models import encoder as encoder_module
from clipsight.models.encoder import Cancelled, Encoder, available_devices
from clipsight.models.folder import ModelFolder
from tests.support.samples import SAMPLES
from tests.support.tiny_models import make_model_blind_to_black, make_model_folder

TEXTS = ["a red dog", "two dogs on a beach", "", "x" * 5000, "a red dog"]


def load(path: Path, **options: Any) -> Encoder:
    return Encoder(ModelFolder.read(path), **options)


def pixels(count: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load(make_model_folder(tmp_path_factory.mktemp("usual"), name="usual"))


def test_properties_of_an_encoder(usual: Encoder) -> None:
    assert (usual.name, usual.dim, usual.logit_scale, usual.input_size) == ("usual", 32, 100.0, (32, 32))
    assert usual.folder.name == "usual"


def test_photos_become_unit_vectors(usual: Encoder) -> None:
    images = [Image.fromarray(one) for one in pixels(5, 50)]
    vectors = usual.encode_images(images)
    assert vectors.shape == (5, 32) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    stacked = np.stack([usual.preprocess(image) for image in images])
    assert stacked.shape == (5, 32, 32, 3) and stacked.dtype == np.uint8
    np.testing.assert_allclose(usual.encode_pixels(stacked), vectors, atol=1e-6)
    np.testing.assert_allclose(usual.encode_pixels(list(stacked)), vectors, atol=1e-6)


def test_texts_become_unit_vectors(usual: Encoder) -> None:
    vectors = usual.encode_texts(TEXTS)
    assert vectors.shape == (5, 32) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)
    one_by_one = np.concatenate([usual.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, vectors, atol=1e-6)


def test_nothing_to_embed(usual: Encoder) -> None:
    assert usual.encode_images([]).shape == (0, 32)
    assert usual.encode_pixels(pixels(0)).shape == (0, 32)
    assert usual.encode_texts([]).shape == (0, 32)


def test_batches_of_any_size_give_the_same_vectors(usual: Encoder) -> None:
    photos, texts = pixels(50), [f"photo {number}" for number in range(150)]
    np.testing.assert_allclose(
        usual.encode_pixels(photos),
        np.concatenate([usual.encode_pixels(photos[i : i + 1]) for i in range(50)]),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        usual.encode_texts(texts), np.concatenate([usual.encode_texts([text]) for text in texts]), atol=1e-6
    )


def test_truncated_texts_are_reported(usual: Encoder) -> None:
    assert usual.truncated(["a dog", "dog " * 76, ""]) == (False, True, False)


# Published graphs: each variant must give what the usual graph with the same weights gives.

TEXT_VARIANTS: dict[str, dict[str, Any]] = {
    "input_ids int64": {"text_inputs": ("input_ids",), "text_dtype": "int64"},
    "M-CLIP": {"text_inputs": ("input_ids", "attention_mask")},
    "mask first": {"text_inputs": ("attention_mask", "input_ids"), "text_dtype": "int64"},
    "BERT": {"text_inputs": ("input_ids", "token_type_ids", "attention_mask"), "text_dtype": "int64"},
    "any name": {"text_inputs": ("tokens:0",)},
    "fixed length": {"text_length": 77},
    "one at a time": {"fixed_batch": 1, "text_length": 77},
    "four at a time": {"fixed_batch": 4},
    "padding counts": {"text_config": {"no_causal_mask": True}},
    "several outputs": {"extra_outputs": True, "text_output": "text_embeds"},
    "half output": {"output_dtype": "float16"},
}


@pytest.mark.parametrize("variant", TEXT_VARIANTS.values(), ids=TEXT_VARIANTS)
def test_text_graphs_of_every_kind(usual: Encoder, tmp_path: Path, variant: dict[str, Any]) -> None:
    encoder = load(make_model_folder(tmp_path / "m", **variant))
    vectors = encoder.encode_texts(TEXTS)
    assert vectors.dtype == np.float32
    half = variant.get("output_dtype") == "float16"
    np.testing.assert_allclose(vectors, usual.encode_texts(TEXTS), atol=1e-3 if half else 1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


IMAGE_VARIANTS: dict[str, dict[str, Any]] = {
    "pixel_values": {"image_input": "pixel_values"},
    "any name": {"image_input": "x.1"},
    "channels last": {"image_layout": "NHWC"},
    "uint8": {"image_dtype": "uint8"},
    "uint8, channels last": {"image_dtype": "uint8", "image_layout": "NHWC"},
    "half": {"image_dtype": "float16", "output_dtype": "float16"},
    "one at a time": {"fixed_batch": 1},
    "four at a time": {"fixed_batch": 4},
    "free size": {"fixed_size": False},
    "several outputs": {"extra_outputs": True, "image_output": "image_embeds"},
}


@pytest.mark.parametrize("variant", IMAGE_VARIANTS.values(), ids=IMAGE_VARIANTS)
def test_image_graphs_of_every_kind(usual: Encoder, tmp_path: Path, variant: dict[str, Any]) -> None:
    photos = pixels(6)
    vectors = load(make_model_folder(tmp_path / "m", **variant)).encode_pixels(photos)
    half = variant.get("output_dtype") == "float16"
    np.testing.assert_allclose(vectors, usual.encode_pixels(photos), atol=2e-3 if half else 1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_size_that_is_not_square(tmp_path: Path) -> None:
    path = make_model_folder(tmp_path / "m", fixed_size=False, preprocess={"size": [24, 40]})
    encoder = load(path)
    assert encoder.preprocess(Image.new("RGB", (99, 50))).shape == (24, 40, 3)
    assert encoder.encode_images([Image.new("RGB", (99, 50), "red")]).shape == (1, 32)


def test_one_graph_with_both_towers(usual: Encoder, tmp_path: Path) -> None:
    path = make_model_folder(tmp_path / "m", image_output="image_embeds", text_output="text_embeds")
    visual, textual = (onnx.load(path / tower / "model.onnx") for tower in ("visual", "textual"))
    both = onnx.compose.merge_models(visual, onnx.compose.add_prefix(textual, "t_"), io_map=[])
    rename(both, {"image": "pixel_values", "t_text": "input_ids", "t_text_embeds": "text_embeds"})
    for tower in ("visual", "textual"):
        onnx.save(both, path / tower / "model.onnx")
    encoder = load(path)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), usual.encode_texts(TEXTS), atol=1e-6)
    photos = pixels(3)
    np.testing.assert_allclose(encoder.encode_pixels(photos), usual.encode_pixels(photos), atol=1e-5)


def rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def test_texts_are_padded_to_the_context_if_the_tower_attends_to_padding(tmp_path: Path) -> None:
    lengths: list[tuple[int, ...]] = []
    for name, text_config in (("causal", {}), ("not causal", {"no_causal_mask": True})):
        encoder = load(make_model_folder(tmp_path / name, text_config=text_config))
        encoder.encode_texts(["a"])
        graph_feed = encoder_module.TextGraph.feed  # type: ignore[attr-defined]

        def feed(self: Any, ids: np.ndarray, mask: np.ndarray, real: Any = graph_feed) -> Any:
            lengths.append(ids.shape)
            return real(self, ids, mask)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder_module.TextGraph, "feed", feed)  # type: ignore[attr-defined]
            encoder.encode_texts(["a"])
    assert lengths == [(1, 3), (1, 77)]


# Graphs that do not fit their folder.


def encode_photo(encoder: Encoder) -> None:
    encoder.encode_pixels(pixels(1))


def encode_text(encoder: Encoder) -> None:
    encoder.encode_texts(["a"])


def write_graph(
    file: Path, inputs: dict[str, tuple[int, list[Any]]], outputs: dict[str, tuple[int, list[Any]]]
) -> None:
    """A graph with these ports, whose outputs are zeros."""
    nodes = [
        helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=zero(element))
        for name, (element, _) in outputs.items()
    ]
    shapes = [
        numpy_helper.from_array(np.array([s if isinstance(s, int) else 1 for s in shape]), f"{name}_shape")
        for name, (_, shape) in outputs.items()
    ]
    ports = [
        [helper.make_tensor_value_info(name, *port) for name, port in group.items()]
        for group in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "odd", *ports, shapes)  # type: ignore[arg-type, call-arg]
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)


def zero(element: int) -> onnx.TensorProto:
    return helper.make_tensor("zero", element, [1], [0])


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
IMAGE = {"image": (FLOAT, ["batch", 3, 32, 32])}
TEXT = {"text": (INT64, ["batch", 77])}
VECTOR = {"embedding": (FLOAT, ["batch", 32])}


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ({"image": (FLOAT, ["b", 3, 64, 64])}, VECTOR, "takes images of 64 x 64 pixels, .* size 32 x 32"),
        ({"image": (FLOAT, ["b", 32, 64, 3])}, VECTOR, "takes images of 32 x 64 pixels"),
        ({"image": (FLOAT, ["b", 1, 32, 32])}, VECTOR, r"3 colours; .*image float\[\?, 1, 32, 32\]"),
        ({"x": (INT64, ["b", 3, 32, 32])}, VECTOR, r"should take images .*x int64\[\?, 3, 32, 32\]"),
        ({"x": (FLOAT, ["b", 3072])}, VECTOR, r"inputs x float\[\?, 3072\] and outputs embedding"),
        (IMAGE | {"y": (FLOAT, ["b", 3, 32, 32])}, VECTOR, "found inputs image .*, y float"),
        (IMAGE | {"scale": (FLOAT, [1])}, VECTOR, r"found inputs .*scale float\[1\]"),
        (IMAGE, {"embedding": (FLOAT, ["b", 64])}, "gives vectors of 64 numbers, .* embed_dim 32"),
        (IMAGE, {"hidden": (FLOAT, ["b", 7, 32])}, r"one embedding \[batch, 32\]; .*float\[., 7, 32\]"),
        (IMAGE, {"label": (INT64, ["b", 32])}, r"one embedding .*label int64\[., 32\]"),
        (IMAGE, {"one": (FLOAT, ["b", 32]), "two": (FLOAT, ["b", 32])}, "outputs one float.*, two float"),
    ],
)  # fmt: skip
def test_image_graphs_that_do_not_fit(
    tmp_path: Path, inputs: dict[str, Any], outputs: dict[str, Any], says: str
) -> None:
    path = make_model_folder(tmp_path / "m")
    write_graph(path / "visual" / "model.onnx", inputs, outputs)
    with pytest.raises(ModelError, match=rf"^model folder {path}: visual/model\.onnx .*{says}"):
        encode_photo(load(path))
    encode_text(load(path))


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ({"text": (INT64, ["b", 64])}, VECTOR, "takes 64 tokens, .* context_length 77"),
        ({"text": (FLOAT, ["b", 77])}, VECTOR, r"should take token ids .*found inputs text float\[\?, 77\]"),
        (TEXT | {"other": (INT64, ["b", 77])}, VECTOR, r"found inputs text .*, other int64\[\?, 77\]"),
        (IMAGE, VECTOR, "should take token ids .*found inputs image"),
        (TEXT, {"embedding": (FLOAT, ["b", 64])}, "gives vectors of 64 numbers, .* embed_dim 32"),
        (TEXT, {"logits": (FLOAT, ["b", 77, 32])}, r"one embedding .*logits float\[., 77, 32\]"),
    ],
)  # fmt: skip
def test_text_graphs_that_do_not_fit(
    tmp_path: Path, inputs: dict[str, Any], outputs: dict[str, Any], says: str
) -> None:
    path = make_model_folder(tmp_path / "m")
    write_graph(path / "textual" / "model.onnx", inputs, outputs)
    with pytest.raises(ModelError, match=rf"^model folder {path}: textual/model\.onnx .*{says}"):
        encode_text(load(path))
    encode_photo(load(path))


@pytest.mark.parametrize(("tower", "use"), [("visual", encode_photo), ("textual", encode_text)])
@pytest.mark.parametrize("damage", ["text", "cut", "another format"])
def test_a_damaged_graph(tmp_path: Path, tower: str, use: Callable[[Encoder], None], damage: str) -> None:
    path = make_model_folder(tmp_path / "m")
    file = path / tower / "model.onnx"
    content = file.read_bytes()
    file.write_bytes({"text": b"no model", "cut": content[: len(content) // 2]}.get(damage, b"\x89PNG\r\n"))
    with pytest.raises(ModelError) as caught:
        use(load(path))
    assert f"{tower}/model.onnx can't be loaded; download or export the model again (" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_an_invalid_vector_is_an_error(tmp_path: Path, value: float) -> None:
    path = make_model_folder(tmp_path / "m")
    model = onnx.load(path / "visual" / "model.onnx")
    (weights, bias) = (one for one in model.graph.initializer if one.data_type == FLOAT)
    weights.CopyFrom(numpy_helper.from_array(np.zeros((48, 32), np.float32), weights.name))
    bias.CopyFrom(numpy_helper.from_array(np.full(32, value, np.float32), bias.name))
    onnx.save(model, path / "visual" / "model.onnx")
    with pytest.raises(ModelError, match="model m gave a zero or not-a-number vector for photo 1, 2 of 2"):
        load(path).encode_pixels(pixels(2))


def test_the_rows_with_invalid_vectors_are_named(tmp_path: Path) -> None:
    blind = load(make_model_blind_to_black(tmp_path / "m"))
    photos = pixels(40)
    photos[[3, 17]] = 0
    with pytest.raises(InvalidVectorError, match="for photo 4, 18 of 40") as caught:
        blind.encode_pixels(photos)
    assert caught.value.rows == (3, 17)
    rest = np.delete(np.arange(40), [3, 17])
    assert np.isnan(caught.value.vectors[[3, 17]]).all()
    np.testing.assert_allclose(caught.value.vectors[rest], blind.encode_pixels(photos[rest]), atol=1e-6)


def test_fewer_vectors_than_photos_is_an_error(tmp_path: Path) -> None:
    path = make_model_folder(tmp_path / "m")
    write_graph(path / "visual" / "model.onnx", IMAGE, VECTOR)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="model m gave 1 x 32 numbers, not 2 x 32"):
        load(path).encode_pixels(pixels(2))


def test_pixels_of_another_size_are_refused(usual: Encoder) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        usual.encode_pixels(pixels(2, size=16))


# Devices and threads.


def test_devices() -> None:
    devices = available_devices()
    assert devices[0] == "cpu"
    assert len(devices) == len(set(devices))
    assert "azure" not in devices


def test_devices_are_named_as_onnxruntime_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Tensorrt", "CUDA", "CoreML", "OpenVINO", "Azure", "CPU"]
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [f"{name}ExecutionProvider" for name in names]
    )
    assert available_devices() == ["cpu", "coreml", "cuda", "openvino", "tensorrt"]


def test_an_unknown_device(tmp_path: Path) -> None:
    path = make_model_folder(tmp_path / "m")
    with pytest.raises(ModelError, match="no device 'warp': the installed onnxruntime offers cpu"):
        load(path, device="warp")


def test_a_device_that_does_not_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    # As if it had, but could not start it: onnxruntime warns then, and runs on the CPU.
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    encoder = load(make_model_folder(tmp_path / "m"), device="cuda")
    assert encoder.workers == 1
    with pytest.warns(UserWarning), pytest.raises(ModelError, match=r"'cuda' can't be used.*`device=.cpu.`"):
        encode_photo(encoder)


def test_threads_can_be_set(tmp_path: Path) -> None:
    path = make_model_folder(tmp_path / "m")
    assert load(path, threads=3).workers == 3
    available = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    assert load(path).workers == len(available)
    with pytest.raises(ModelError, match="`threads` must be at least 1"):
        load(path, threads=0)


@pytest.mark.process
@pytest.mark.parametrize(
    ("use", "tower"),
    [("e.encode_texts(['a'])", "textual"), ("e.encode_images([Image.new('RGB', (9, 9), 'red')])", "visual")],
)
def test_each_tower_is_loaded_on_first_use(tmp_path: Path, use: str, tower: str) -> None:
    path = make_model_folder(tmp_path / "m")
    other = "visual" if tower == "textual" else "textual"
    (path / other / "model.onnx").write_bytes(b"damaged: an error if it were loaded")
    code = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "from clipsight.models.encoder import Encoder; from clipsight.models.folder import ModelFolder\n"
        f"e = Encoder(ModelFolder.read(Path({str(path)!r}))); e.workers, e.input_size\n"
        "assert not {'onnxruntime', 'tokenizers'} & sys.modules.keys(), 'loaded before use'\n"
        f"print({use}.shape)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("(1, 32)\n", "")


def test_many_threads_share_one_encoder(tmp_path: Path) -> None:
    encoder = load(make_model_folder(tmp_path / "m"))
    batches = [pixels(count) for count in range(1, 25)]
    results: dict[int, np.ndarray] = {}

    def encode(index: int) -> None:
        results[index] = encoder.encode_pixels(batches[index])

    threads = [threading.Thread(target=encode, args=(index,)) for index in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, batch in enumerate(batches):
        np.testing.assert_allclose(results[index], encoder.encode_pixels(batch), atol=1e-6)


# Ending a call.


def slow_model(path: Path) -> Path:
    """A model whose visual graph multiplies large matrices for a minute or so."""
    make_model_folder(path)
    model = onnx.load(path / "visual" / "model.onnx")
    product = "image_start"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1200, 1200]), "square"))
    nodes = [helper.make_node("RandomNormal", [], [product], shape=[1200, 1200])]
    for number in range(2000):
        nodes.append(helper.make_node("MatMul", [product, product], [f"square_{number}"]))
        nodes.append(helper.make_node("Tanh", [f"square_{number}"], [f"bound_{number}"]))
        product = f"bound_{number}"
    nodes.append(helper.make_node("ReduceMean", [product], ["mean"], keepdims=0))
    last = next(node for node in model.graph.node if "embedding" in node.output)
    last.output[0] = "plain"
    nodes.append(helper.make_node("Add", ["plain", "mean"], ["embedding"]))
    model.graph.node.extend(nodes)
    onnx.save(model, path / "visual" / "model.onnx")
    return path


@pytest.mark.slow
def test_cancel_ends_running_calls_and_leaves_the_encoder_usable(tmp_path: Path) -> None:
    encoder = load(slow_model(tmp_path / "slow"))
    ended: list[BaseException] = []
    flags = [threading.Event(), threading.Event()]

    def encode(flag: threading.Event) -> None:
        try:
            encoder.encode_pixels(pixels(2), stop=flag)
        except BaseException as error:
            ended.append(error)

    threads = [threading.Thread(target=encode, args=[flag]) for flag in flags]
    for thread in threads:
        thread.start()
    while len(encoder._running) < 2:
        time.sleep(0.01)
    time.sleep(0.3)  # so that they are among the layers
    encoder.cancel(flags[0])
    threads[0].join()
    assert [flag for _, flag in encoder._running] == flags[1:]
    encoder.cancel()
    threads[1].join()
    # Left to run, they raise nothing.
    assert [type(error) for error in ended] == [Cancelled, Cancelled]
    assert encoder.encode_texts(["still works"]).shape == (1, 32)


def test_stop_is_checked_between_batches(tmp_path: Path) -> None:
    encoder = load(make_model_folder(tmp_path / "m", fixed_batch=1))
    asked = 0

    class StopAfterThree:
        def is_set(self) -> bool:
            nonlocal asked
            asked += 1
            return asked > 3

    with pytest.raises(Cancelled):
        encoder.encode_pixels(pixels(10), stop=StopAfterThree())
    assert asked == 4
    event = threading.Event()
    assert encoder.encode_pixels(pixels(2), stop=event).shape == (2, 32)
    event.set()
    with pytest.raises(Cancelled):
        encoder.encode_pixels(pixels(2), stop=event)


def test_cancel_with_nothing_running_does_nothing(usual: Encoder) -> None:
    usual.cancel()
    assert usual.encode_pixels(pixels(1)).shape == (1, 32)


@pytest.mark.slow
def test_memory_stays_flat_over_batches_of_every_size(usual: Encoder) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    rng = np.random.default_rng(0)

    def run(times: int) -> None:
        for _ in range(times):
            usual.encode_pixels(pixels(int(rng.integers(1, 40))))
            usual.encode_texts(["word " * int(rng.integers(0, 90))])

    run(100)
    before = resident()
    run(300)
    assert resident() - before < 4_000_000


# The model that ships with the package.


@pytest.mark.slow
def test_the_builtin_model_distinguishes_a_cat_from_a_cup() -> None:
    from clipsight.models.registry import builtin_folder

    photos = [Image.open(SAMPLES[name]).convert("RGB") for name in ("cat.png", "coffee.png", "rocket.jpg")]
    encoder = load(builtin_folder())
    cosines = encoder.encode_texts(["a cat", "a cup of coffee", "a rocket"]) @ encoder.encode_images(photos).T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2]
    together = encoder.encode_texts(["a cat", "a much longer text about a cat that sits on a sofa"])
    np.testing.assert_allclose(together[0], encoder.encode_texts(["a cat"])[0], atol=1e-5)
