"""The image head: its start, what it learns, and that its graph is what was trained."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import onnxruntime  # noqa: E402
from torch import Tensor  # noqa: E402

from recipes.builtin import features, heads  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402
from recipes.builtin.english_folder import read_english  # noqa: E402
from recipes.builtin.errors import RecipeError  # noqa: E402
from recipes.builtin.export import (  # noqa: E402
    blended_visual_graph,
    frozen_graph,
    textual_graph,
    visual_graph,
)
from recipes.builtin.heads import HeadConfig, HeadTrainer, Lessons, Prompts, blend  # noqa: E402
from recipes.builtin.model import FEATURES, Builtin  # noqa: E402
from recipes.builtin.towers import IMAGE_SIZE, ImageTower, TextShape, TextTower  # noqa: E402

pytestmark = pytest.mark.torch

_WIDTH = 24
_CONFIG = HeadConfig(epochs=40, named=16, kept=8, hidden=8, rate=5e-3, dropout=0.0)


@pytest.fixture(scope="module")
def model() -> Builtin:
    """An English model with random weights and a text tower of one layer, in _WIDTH numbers."""
    torch.manual_seed(0)
    text = TextTower(TextShape(vocabulary=60, positions=80, layers=1))
    classes = torch.nn.functional.normalize(torch.randn(1000, 384), dim=1)
    made = Builtin(ImageTower(), text, classes, 64, 0.1).eval()
    torch.nn.init.normal_(made.image.classifier.bias, std=3)  # some classes are likely
    made.shorten(torch.linalg.qr(torch.randn(384, 384)).Q[:_WIDTH])
    return made


def _known() -> Tensor:
    drawn = torch.randn(1000, _WIDTH, generator=torch.manual_seed(1))
    known: Tensor = torch.nn.functional.normalize(drawn, dim=1)
    return known


def _lessons(*sources: str) -> Lessons:
    """Four photos each of eight labels, whose features tell the labels apart."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((8, FEATURES), dtype=np.float32)
    photos, rows = [], []
    for i in range(32):
        label = f"label {i % 8}"
        source = sources[i % len(sources)]
        photos.append(Photo(f"{i}.jpg", source, "train", (label, f"a {label}"), label))
        rows.append(centres[i % 8] + rng.normal(0, 0.05, FEATURES).astype(np.float32))
    view = np.stack(rows).astype(np.float32)
    part = view.copy()
    part[::2] = 0  # the second view lacks half of the photos
    texts = torch.nn.functional.normalize(torch.randn(16, _WIDTH, generator=torch.manual_seed(2)), dim=1)
    captions = [[i % 8, 8 + i % 8] for i in range(32)]
    return Lessons(photos, [view, part], texts, captions, {})


def _right(model: Builtin, lessons: Lessons, share: float) -> float:
    """Share of the photos whose label is the nearest of all."""
    with torch.no_grad():
        pooled = torch.from_numpy(lessons.views[0])
        images = blend(heads.head_vectors(model, pooled), heads.conse_vectors(model, _known(), pooled), share)
    nearest = (images @ lessons.texts[:8].T).argmax(1).numpy()
    return float((nearest == np.arange(32) % 8).mean())


def test_training_finds_the_labels_of_new_sets(model: Builtin) -> None:
    lessons, taught = _lessons("grocery"), copy.deepcopy(model)
    assert _right(model, lessons, _CONFIG.conse) < 0.5
    trainer = HeadTrainer(model, _known(), lessons, _CONFIG)
    lines: list[str] = []
    added = trainer.run(lines.append)
    heads.fold(taught.image_head, added, trainer.unit)
    assert _right(taught, lessons, _CONFIG.conse) > 0.9
    assert len(lines) == 1 + _CONFIG.epochs


def test_without_training_the_folded_head_is_the_first(model: Builtin) -> None:
    lessons, folded = _lessons("grocery", "flickr"), copy.deepcopy(model)
    trainer = HeadTrainer(model, _known(), lessons, replace(_CONFIG, epochs=0))
    heads.fold(folded.image_head, trainer.run(lambda _: None), trainer.unit)
    pooled = torch.from_numpy(lessons.views[0])
    with torch.no_grad():
        before, after = (heads.head_vectors(each, pooled).numpy() for each in (model, folded))
    assert after == pytest.approx(before, abs=1e-5)


def test_a_folded_head_is_the_first_and_what_was_added(model: Builtin) -> None:
    torch.manual_seed(3)
    added, folded = heads.AddedHead(_WIDTH, _CONFIG).eval(), copy.deepcopy(model)
    for layer in (added.linear, added.down):
        torch.nn.init.normal_(layer.weight, std=0.05)
        torch.nn.init.normal_(layer.bias, std=0.05)
    heads.fold(folded.image_head, added, 0.7)
    pooled = torch.rand(3, FEATURES)
    with torch.no_grad():
        inputs = heads.standardised(model.image_head, pooled)
        expected = heads.head_vectors(model, pooled) + 0.7 * added(inputs)
        got = heads.head_vectors(folded, pooled)
    assert got.numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_photos_of_other_sets_stay_near_where_they_were(model: Builtin) -> None:
    lessons = _lessons("grocery", "flickr")
    pooled = torch.from_numpy(lessons.views[0])
    kept = [i for i, photo in enumerate(lessons.photos) if photo.source == "flickr"]

    def moved(keeping: float) -> float:
        taught = copy.deepcopy(model)
        config = replace(_CONFIG, keeping=keeping, captions=0.0)
        trainer = HeadTrainer(model, _known(), lessons, config)
        heads.fold(taught.image_head, trainer.run(lambda _: None), trainer.unit)
        with torch.no_grad():
            before, after = (heads.head_vectors(each, pooled[kept]) for each in (model, taught))
        return float(1 - torch.nn.functional.cosine_similarity(before, after).mean())

    assert moved(20.0) < moved(0.0) / 2


def test_the_right_prompt_is_chosen_of_sets_that_have_prompts(model: Builtin) -> None:
    """Of two prompts that lie nearer to each other than to any label, the one that the features tell."""
    lessons = _lessons("grocery", "clothing")
    prompts = torch.nn.functional.normalize(lessons.texts[:1] + 0.3 * torch.eye(_WIDTH)[:2], dim=1)
    texts = torch.cat([lessons.texts, prompts])
    clothes = [i for i, photo in enumerate(lessons.photos) if photo.source == "clothing"]
    asked = {i: Prompts([16, 17], i % 8 // 4) for i in clothes}
    pooled = torch.from_numpy(lessons.views[0][clothes])

    def right(choosing: float) -> float:
        taught = copy.deepcopy(model)
        config = replace(_CONFIG, choosing=choosing, captions=0.0, keeping=0.0)
        trainer = HeadTrainer(model, _known(), replace(lessons, texts=texts, prompts=asked), config)
        heads.fold(taught.image_head, trainer.run(lambda _: None), trainer.unit)
        with torch.no_grad():
            images = blend(
                heads.head_vectors(taught, pooled),
                heads.conse_vectors(taught, _known(), pooled),
                _CONFIG.conse,
            )
        guessed = (images @ prompts.T).argmax(1).numpy()
        return float((guessed == [asked[i].right for i in clothes]).mean())

    assert right(5.0) == 1.0
    assert right(0.0) < 0.9


def test_photos_without_captions_or_features_are_not_learnt_from(model: Builtin) -> None:
    lessons = _lessons("grocery")
    captions = [[] if i < 4 else rows for i, rows in enumerate(lessons.captions)]
    view = lessons.views[0].copy()
    view[8] = 0
    trainer = HeadTrainer(model, _known(), replace(lessons, captions=captions, views=[view]), _CONFIG)
    assert trainer.named == [i for i in range(4, 32) if i != 8]
    assert trainer.kept == {}


def test_the_other_sets_share_a_step(model: Builtin) -> None:
    lessons = _lessons("grocery", "flickr", "coco", "signs")
    trainer = HeadTrainer(model, _known(), lessons, replace(_CONFIG, kept=10))
    assert {source: len(rows) for source, rows in trainer.kept.items()} == {"flickr": 8, "coco": 8}
    drawn = [lessons.photos[i].source for i in trainer._kept_rows()]
    shares = [round(10 * heads.SHARES[source]) for source in ("flickr", "coco")]
    assert [drawn.count("flickr"), drawn.count("coco")] == shares
    assert shares[0] > shares[1] > 0


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_graph_blends_the_head_and_conse(model: Builtin, share: float) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(frozen_graph(model.image))
    pooled = torch.from_numpy(session.run(None, {"image": image})[0])
    with torch.no_grad():
        conse = heads.conse_vectors(model, _known(), pooled)
        expected = blend(heads.head_vectors(model, pooled), conse, share).numpy()
    session = onnxruntime.InferenceSession(blended_visual_graph(model, _known(), share))
    (got,) = session.run(None, {"image": image})
    assert (conse.norm(dim=1) > 0).all()
    assert np.linalg.norm(got, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert (got * expected).sum(1) == pytest.approx([1, 1], abs=5e-3)


def _write(model: Builtin, folder: Path) -> Path:
    for name, graph in (("visual", visual_graph(model)), ("textual", textual_graph(model))):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.onnx").write_bytes(graph)
    return folder


def test_an_english_model_is_read_as_it_was_written(model: Builtin, tmp_path: Path) -> None:
    again = read_english(_write(model, tmp_path / "first"))
    ids, pooled = torch.tensor([[1, 7, 9, 2], [1, 5, 2, 0]]), torch.rand(3, FEATURES)
    with torch.no_grad():
        for before, after in (
            (model.encode_tokens(ids), again.encode_tokens(ids)),
            (model.encode_pooled(pooled), again.encode_pooled(pooled)),
        ):
            assert (before * after).sum(1).numpy() == pytest.approx(np.ones(len(before)), abs=2e-3)


def test_another_model_is_no_english_one(model: Builtin, tmp_path: Path) -> None:
    folder = _write(model, tmp_path / "second")
    (folder / "visual" / "model.onnx").write_bytes(blended_visual_graph(model, _known(), 0.3))
    with pytest.raises(RecipeError, match="is not an English model of this recipe"):
        read_english(folder)


def test_a_view_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [Photo(f"{i}.jpg", "grocery", "train", ("plum",), "plum") for i in range(5)]
    made: list[int] = []

    def load(data: Path, photo: Photo, view: int) -> np.ndarray:
        made.append(int(photo.path[0]))
        return np.full(1, 1 + int(photo.path[0]), np.float32)

    def run(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.repeat(batch, FEATURES, 1), batch

    monkeypatch.setattr(features, "load_view", load)
    path = tmp_path / "view-0.npy"

    def view(*wanted: int) -> np.ndarray:
        return features.pooled_view(tmp_path, photos, wanted, 0, path, lambda: run, lambda _: None)

    assert view(1, 3)[:, 0].tolist() == [0, 2, 0, 4, 0]
    assert view(0, 1, 3, 4)[:, 0].tolist() == [1, 2, 0, 4, 5]
    assert sorted(made) == [0, 1, 3, 4]
    assert features.is_filled(np.load(path)).tolist() == [True, True, False, True, True]
    with pytest.raises(RecipeError, match="remove it"):
        features.pooled_view(tmp_path, photos[:3], [0], 0, path, lambda: run, lambda _: None)
