"""The graphs that ship compute what the trained modules do, and their weights are widened once, at load."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
import onnxruntime  # noqa: E402

from clipsight.models.folder import ModelFolder  # noqa: E402
from recipes.builtin import features  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402
from recipes.builtin.export import frozen_graph, photo_identity, textual_graph, visual_graph  # noqa: E402
from recipes.builtin.graph import Graph  # noqa: E402
from recipes.builtin.model import FEATURES, FROZEN_WIDTH, TAP_WIDTH, Builtin  # noqa: E402
from recipes.builtin.towers import IMAGE_SIZE, ImageTower, TextShape, TextTower  # noqa: E402
from tests.support.tiny_models import make_model_folder  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def model() -> Builtin:
    """The architecture with random weights and a text tower of one layer."""
    torch.manual_seed(0)
    text = TextTower(TextShape(vocabulary=60, positions=80, layers=1))
    classes = torch.nn.functional.normalize(torch.randn(1000, 384), dim=1)
    made = Builtin(ImageTower(), text, classes, 64, 0.1).eval()
    for head in (made.image_head, made.text_head):
        torch.nn.init.normal_(head.down.weight, std=0.05)
    return made


def _run(graph: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, inputs)
    return outputs


def test_visual_graph_is_the_model(model: Builtin) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    pooled, maps = _run(frozen_graph(model.image), image=image)
    with torch.inference_mode():
        frozen = torch.from_numpy(pooled)[:, :FROZEN_WIDTH]
        again = model.pool_maps(torch.from_numpy(maps), frozen)
        last = model.image(torch.from_numpy(image)).mean((2, 3))
        expected = model.encode_pooled(again).numpy()
    assert again[:, TAP_WIDTH:].numpy() == pytest.approx(last.numpy(), abs=1e-4)
    assert again.numpy() == pytest.approx(pooled, abs=1e-4)
    (got,) = _run(visual_graph(model), image=image)
    assert (got * expected).sum(1) == pytest.approx([1, 1], abs=5e-3)


def test_textual_graph_is_the_model_and_ignores_padding(model: Builtin) -> None:
    ids = np.array([[1, 7, 9, 2, 0, 0], [1, 7, 9, 30, 31, 2]], dtype=np.int32)
    with torch.inference_mode():
        expected = model.encode_tokens(torch.from_numpy(ids)).numpy()
    graph = textual_graph(model)
    (got,) = _run(graph, text=ids)
    assert (got * expected).sum(1) == pytest.approx([1, 1], abs=2e-3)
    assert _run(graph, text=ids[:1, :4])[0][0] == pytest.approx(got[0], abs=1e-5)


def test_shortened_vectors_are_projections(model: Builtin) -> None:
    axes = torch.linalg.qr(torch.randn(384, 384)).Q[:100]
    short = copy.deepcopy(model)
    short.shorten(axes)
    pooled, ids = torch.rand(3, FEATURES), torch.tensor([[1, 7, 9, 2], [1, 5, 2, 0]])
    with torch.inference_mode():
        for whole, part in (
            (model.encode_pooled(pooled), short.encode_pooled(pooled)),
            (model.encode_tokens(ids), short.encode_tokens(ids)),
        ):
            expected = torch.nn.functional.normalize(whole @ axes.T, dim=1)
            assert part.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert _run(textual_graph(short), text=ids.int().numpy())[0].shape == (2, 100)


def test_weights_are_widened_when_the_session_is_made(model: Builtin, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(textual_graph(model), options, providers=["CPUExecutionProvider"])
    constants = {c.name: c for c in onnx.load(tmp_path / "optimised.onnx").graph.initializer}
    int8 = [tuple(c.dims) for c in constants.values() if c.data_type == onnx.TensorProto.INT8]
    assert int8 == [(60, 384)]  # the word table alone: its rows are widened as they are looked up


def test_small_weights_stay_exact() -> None:
    graph, weight = Graph(), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    outputs = {"y": (graph.linear("x", weight), ["n", 4])}
    x = np.ones((2, 3), np.float32)
    (got,) = _run(graph.serialise("x", ["n", 3], onnx.TensorProto.FLOAT, outputs), x=x)  # type: ignore[arg-type]
    assert got == pytest.approx(x @ weight.T, abs=1e-6)


def test_four_bits_of_a_linear_layer_are_multiplied_as_they_are() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-7, 8, (5, 64)).astype(np.float32)
    weight[:, ::32] = -8  # so that a block's scale is 1
    graph, x = Graph(bits=4), rng.normal(size=(2, 3, 64)).astype(np.float32)
    outputs = {"y": (graph.linear("x", weight, np.arange(5, dtype=np.float32)), ["n", 3, 5])}
    model = graph.serialise("x", ["n", 3, 64], onnx.TensorProto.FLOAT, outputs)  # type: ignore[arg-type]
    (got,) = _run(model, x=x)
    assert got == pytest.approx(x @ weight.T + np.arange(5), abs=1e-3)
    assert len(model) < 5 * 64 // 2 + 1500


def test_the_word_table_may_take_four_bits(model: Builtin) -> None:
    ids = np.array([[2, 7, 3]], np.int32)
    (exact,), (small,) = (_run(textual_graph(model, bits), text=ids) for bits in (8, 4))
    assert (exact * small).sum() == pytest.approx(1, abs=0.02) and not np.array_equal(exact, small)
    assert len(textual_graph(model, 4)) < len(textual_graph(model))


def test_photos_keep_their_vectors_if_the_image_tower_stays(tmp_path: Path) -> None:
    before = make_model_folder(tmp_path / "before")
    texts = make_model_folder(tmp_path / "texts", seed=1)
    shutil.copytree(before / "visual", texts / "visual", dirs_exist_ok=True)
    old = ModelFolder.read(before)
    assert photo_identity(before, texts) == {
        "photo_identity": {"visual": old.visual_hash(), "fingerprint": old.fingerprint()}
    }
    assert photo_identity(before, make_model_folder(tmp_path / "other", seed=1)) == {}
    assert photo_identity(tmp_path / "nowhere", texts) == {}


def test_views_are_computed_once_and_an_interrupted_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    photos = [Photo(f"{i}.jpg", "flickr", "dev" if i == 2 else "train", ("a",), str(i)) for i in range(3)]
    for i, photo in enumerate(photos):
        Image.new("RGB", (40, 30), (40 * i, 90, 10)).save(tmp_path / photo.path)
    calls: list[int] = []

    def runner() -> features.Runner:
        def run(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            calls.append(len(batch))
            means = batch.mean((1, 2, 3))[:, None]
            return np.repeat(means, features.FEATURES, 1), np.ones((len(batch), *features.MAPS), np.float32)  # type: ignore[attr-defined]

        return run

    def broken() -> features.Runner:
        def run(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            raise KeyboardInterrupt

        return run

    cache = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        features.cached_view(tmp_path, photos, 0, cache, broken, lambda _: None)
    plain = features.cached_view(tmp_path, photos, 0, cache, runner, lambda _: None)
    again = features.cached_view(tmp_path, photos, 0, cache, broken, lambda _: None)
    assert calls == [3]
    assert np.array_equal(plain.pooled, again.pooled)
    assert len(np.unique(plain.pooled[:, 0])) == 3
    augmented = features.cached_view(tmp_path, photos, 1, cache, runner, lambda _: None)
    assert calls == [3, 2]  # augmented views are for training photos alone
    assert not augmented.pooled[2].any()


def test_augmentation_depends_on_the_photo_and_the_view_alone(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = Photo("a.png", "flickr", "train", ("a",), "a")
    first, second = (features.load_view(tmp_path, photo, view) for view in (1, 2))
    assert np.array_equal(first, features.load_view(tmp_path, photo, 1))
    assert not np.array_equal(first, second)
    assert first.shape == (3, IMAGE_SIZE, IMAGE_SIZE)
    assert -1 <= first.min() < first.max() <= 1
