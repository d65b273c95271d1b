"""The multilingual tower learns the teacher's embeddings, resumes alike, and exports as trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import onnxruntime  # noqa: E402

from clipsight.models.encoder import Encoder  # noqa: E402
from clipsight.models.folder import ModelFolder  # noqa: E402
from recipes.builtin.distil import DistilConfig, Distiller, Lessons, Student, encode, pad  # noqa: E402
from recipes.builtin.export_joint import (  # noqa: E402
    joint_visual_graph,
    student_graph,
    write_joint_folder,
)
from recipes.builtin.graph import quantise4  # noqa: E402
from recipes.builtin.joint import Parts, axes_of, join, split  # noqa: E402
from recipes.builtin.model import Builtin  # noqa: E402
from recipes.builtin.towers import IMAGE_SIZE, ImageTower, TextShape, TextTower  # noqa: E402
from recipes.builtin.vocabulary import SPECIAL, Vocabulary  # noqa: E402

pytestmark = pytest.mark.torch

_PARTS = Parts(caption=10, conse=6, weight=0.3)
_CONFIG = DistilConfig(steps=6, pairs=12, captions=8, hidden=16, every=2, tower_rate=1e-3, head_rate=1e-2)


def _student() -> Student:
    torch.manual_seed(0)
    shape = TextShape(vocabulary=40, positions=80, width=32, heads=2, layers=1, pad_id=1)
    return Student(TextTower(shape), _PARTS, 16)


def _lessons() -> Lessons:
    rng = np.random.default_rng(0)
    torch.manual_seed(1)
    teacher = join(torch.randn(20, 10), torch.randn(20, 6), _PARTS.weight).numpy()
    texts = [[0, 4 + i, 2] for i in range(20)]
    other = [[0, 24 + i % 16, 4 + i, 2] for i in range(20)]
    rows = np.arange(20)
    captions = [{"en": [texts[i]], "zh": [other[i]]} if i % 2 else {"en": [texts[i]]} for i in range(10)]
    return Lessons(
        {"en": texts, "zh": other},
        {"en": rows, "zh": rows},
        teacher.astype(np.float16),
        {"en": 0.5, "zh": 0.5},
        captions,
        [teacher[:10], teacher[:10] + rng.normal(0, 0.01, (10, 16)).astype(np.float32)],
        rows[:10],
    )


def _weights(student: Student) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in student.parameters()])


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_cosines_are_the_weighted_mean_of_the_parts(weight: float) -> None:
    parts = replace(_PARTS, weight=weight)
    a, b = (join(torch.randn(5, 10), torch.randn(5, 6), weight) for _ in range(2))
    assert a.norm(dim=1).numpy() == pytest.approx(np.ones(5), abs=1e-5)
    if 0 < weight < 1:
        (a1, a2), (b1, b2) = split(a, parts), split(b, parts)
        expected = (1 - weight) * a1 @ b1.T + weight * a2 @ b2.T
        assert (a @ b.T).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_without_a_second_part_the_first_is_the_whole() -> None:
    joined = join(torch.ones(1, 4), torch.zeros(1, 6), 0.3)
    assert joined[0, :4].numpy() == pytest.approx([0.5] * 4)


def test_axes_keep_the_cosines_of_a_flat_cloud() -> None:
    flat = torch.randn(50, 5) @ torch.randn(5, 30)
    axes = axes_of(flat, 5)
    assert (axes @ axes.T).numpy() == pytest.approx(np.eye(5), abs=1e-4)
    assert (flat @ axes.T @ axes).numpy() == pytest.approx(flat.numpy(), abs=1e-3)


def test_linear_start_is_the_regression() -> None:
    student = _student()
    x = torch.nn.functional.normalize(torch.randn(400, 32), dim=1)
    targets = x @ torch.randn(32, 16) + 1
    student.fit_linear(x, targets, ridge=1e-6)
    got = student.linear(x - student.mean)
    assert got.detach().numpy() == pytest.approx(targets.numpy(), abs=1e-2)


def test_training_brings_texts_to_their_targets(tmp_path: Path) -> None:
    student, lessons = _student(), _lessons()

    def cosine() -> float:
        with torch.no_grad():
            found = encode(student, [*lessons.texts["en"], *lessons.texts["zh"]]).numpy()
        return float((found * np.tile(lessons.teacher.astype(np.float32), (2, 1))).sum(1).mean())

    before = cosine()
    Distiller(student, lessons, replace(_CONFIG, steps=25, every=25, average=0.5), lambda _: None).run(
        tmp_path / "state.pt"
    )
    assert cosine() > before + 0.2


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, parted = _student(), _student()
    Distiller(whole, _lessons(), _CONFIG, lambda _: None).run(tmp_path / "whole.pt")

    def stop(line: str) -> None:
        if line.startswith("step 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Distiller(parted, _lessons(), _CONFIG, stop).run(tmp_path / "parted.pt")
    lines: list[str] = []
    resumed = _student()
    Distiller(resumed, _lessons(), _CONFIG, lines.append).run(tmp_path / "parted.pt")
    assert lines[0] == "resuming after step 4"
    assert _weights(resumed) == pytest.approx(_weights(whole), abs=1e-6)


def test_another_config_starts_again(tmp_path: Path) -> None:
    Distiller(_student(), _lessons(), _CONFIG, lambda _: None).run(tmp_path / "state.pt")
    lines: list[str] = []
    Distiller(_student(), _lessons(), replace(_CONFIG, pairs=8), lines.append).run(tmp_path / "state.pt")
    assert "another config" in lines[0]


def test_texts_are_encoded_in_their_order() -> None:
    student, rows = _student().eval(), [[0, 5, 6, 7, 2], [0, 2], [0, 9, 2]]
    with torch.no_grad():
        together = encode(student, rows, size=2).numpy()
        alone = np.concatenate([student(pad([row], 1)).numpy() for row in rows])
    assert together == pytest.approx(alone, abs=1e-5)


def test_four_bits_store_what_had_four_bits_without_loss() -> None:
    whole = np.random.default_rng(0).integers(-8, 8, (50, 64))
    whole[:, ::32] = -8
    table = (whole * 0.25).astype(np.float32)
    table[0] = 0
    packed, scale = quantise4(table)
    assert packed.dtype == np.uint8 and (packed.shape, scale.shape) == ((50, 2, 16), (50, 2, 1))
    values = np.concatenate([packed & 15, packed >> 4], -1).astype(np.float32) - 8
    assert np.array_equal((values * scale).reshape(50, 64), table)


def _run(graph: bytes, **inputs: Any) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, inputs)[0]
    return result


def _exact_student() -> Student:
    """A student whose token embeddings are exact in four bits."""
    student = _student().eval()
    whole = np.random.default_rng(0).integers(-7, 8, (40, 32))
    whole[:, 0] = -8
    with torch.no_grad():
        student.tower.words.weight.copy_(torch.from_numpy(whole * 0.25))
        torch.nn.init.normal_(student.down.weight, std=0.05)
        student.get_buffer("mean").copy_(torch.randn(32) * 0.05)
    return student


def test_text_graph_is_the_student_and_ignores_padding() -> None:
    student = _exact_student()
    ids = np.array([[0, 7, 2, 1, 1], [0, 7, 9, 30, 2]], np.int32)
    with torch.no_grad():
        expected = student(torch.from_numpy(ids).long()).numpy()
    graph = student_graph(student)
    got = _run(graph, text=ids)
    assert (got * expected).sum(1) == pytest.approx([1, 1], abs=2e-3)
    assert _run(graph, text=ids[:1, :3])[0] == pytest.approx(got[0], abs=1e-5)


def test_the_folder_opens_and_finds_as_the_modules_do(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classes = torch.nn.functional.normalize(torch.randn(1000, 384), dim=1)
    builtin = Builtin(ImageTower(), TextTower(TextShape(60, 80, layers=1)), classes, 16, 0.0).eval()
    builtin.shorten(torch.linalg.qr(torch.randn(384, 384)).Q[: _PARTS.caption])
    conse = torch.randn(1000, _PARTS.conse)
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    visual = joint_visual_graph(builtin, conse, _PARTS)
    got = _run(visual, image=image)
    assert got.shape == (2, _PARTS.width)
    assert np.linalg.norm(got, axis=1) == pytest.approx(np.ones(2), abs=1e-5)

    student = _exact_student()
    pieces = [*SPECIAL, "\u2581", *(chr(97 + i) for i in range(25)), *"狗猫车花山水人火木土日"][:40]
    vocabulary = Vocabulary(np.arange(40), pieces, [-5.0] * 40)
    about = {"logit_scale": 20.0, "languages": ["en"]}
    write_joint_folder(tmp_path / "model", visual, student, vocabulary, about)
    encoder = Encoder(ModelFolder.read(tmp_path / "model"))
    texts = encoder.encode_texts(["a dog", "A  DOG", "狗", ""])
    assert encoder.dim == _PARTS.width
    assert texts[1] == pytest.approx(texts[0], abs=1e-6)
    ids = vocabulary.tokenizer().encode("a dog").ids
    with torch.no_grad():
        expected = student(torch.tensor([ids]))[0].numpy()
    assert float(texts[0] @ expected) == pytest.approx(1, abs=2e-3)
