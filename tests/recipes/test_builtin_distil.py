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
from recipes.builtin.distil import DistilConfig, Distiller, Lessons, shares_of  # noqa: E402
from recipes.builtin.export_student import student_graph, write_multilingual  # noqa: E402
from recipes.builtin.graph import quantise4  # noqa: E402
from recipes.builtin.multilingual import MultilingualTower  # noqa: E402
from recipes.builtin.states import TokenStates, batches, encode, pad  # noqa: E402
from recipes.builtin.student import Student  # noqa: E402
from recipes.builtin.towers import TextShape, TextTower  # noqa: E402
from recipes.builtin.vocabulary import SPECIAL, Vocabulary  # noqa: E402
from tests.support.tiny_models import make_model_folder  # noqa: E402

pytestmark = pytest.mark.torch

_WIDTH = 16
_CONFIG = DistilConfig(steps=6, pairs=12, captions=8, every=2, layers_rate=1e-3, head_rate=1e-2)


def _student() -> Student:
    torch.manual_seed(0)
    shape = TextShape(vocabulary=40, positions=80, width=32, heads=2, layers=2, pad_id=1)
    return Student(TextTower(shape), _WIDTH, frozen=1, hidden=32)


def _rows() -> list[list[int]]:
    """Twenty English texts and their translations."""
    texts = [[0, 4 + i, 2] for i in range(20)]
    return texts + [[0, 24 + i % 16, 4 + i, 2] for i in range(20)]


def _lessons(folder: Path) -> Lessons:
    torch.manual_seed(1)
    teacher = torch.nn.functional.normalize(torch.randn(20, _WIDTH), dim=1)
    states = TokenStates(_rows(), 32, folder)
    states.fill(_student(), lambda _: None)
    rows = np.arange(20)
    return Lessons(
        states,
        teacher,
        {"en": np.stack([rows, rows], 1), "zh": np.stack([rows + 20, rows], 1)},
        {"zh": np.stack([rows + 20, rows], 1)[:4]},
        [{"en": rows[i : i + 1]} | ({"zh": rows[i : i + 1] + 20} if i % 2 else {}) for i in range(10)],
        teacher[:10],
        rows[:10],
        ["captioned", "everyday"] * 5,
    )


def _weights(student: Student) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in student.parameters()])


def test_batches_hold_every_text_once_and_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    found = list(batches(lengths))
    assert sorted(np.concatenate(found).tolist()) == list(range(500))
    for batch in found:
        assert lengths[batch].max() <= max(lengths[batch].min() * 1.35, lengths[batch].min() + 1)
        assert len(batch) * lengths[batch].max() <= 3000


def test_states_are_computed_once_and_give_what_the_tower_gives(tmp_path: Path) -> None:
    student, rows = _student().eval(), _rows()
    states = TokenStates(rows, 32, tmp_path)
    states.fill(student, lambda _: None)
    numbers = np.array([25, 3, 3, 39])
    with torch.no_grad():
        got = states.embed(student, numbers).numpy()
    expected = encode(student, [rows[i] for i in numbers]).numpy()
    assert got == pytest.approx(expected, abs=2e-3)
    states.vectors[:3] = 0  # as an interrupted run leaves it
    lines: list[str] = []
    again = TokenStates(rows, 32, tmp_path)
    again.fill(student, lines.append)
    assert lines == ["frozen layers: 1 of 1 texts"]
    assert again.vectors[:3].any()


def test_shares_sum_to_one_and_favour_english_and_chinese() -> None:
    languages = ["ar", "de", "en", "zh", "zh-Hant"]
    shares = dict(zip(languages, shares_of(languages).tolist(), strict=True))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["en"] == pytest.approx(0.14) and shares["zh"] == pytest.approx(0.12)
    assert shares["ar"] == shares["de"]


def test_linear_start_is_the_regression() -> None:
    student = _student()
    x = torch.nn.functional.normalize(torch.randn(400, 32), dim=1)
    targets = x @ torch.randn(32, _WIDTH) + 1
    student.fit_linear(x, targets, ridge=1e-6)
    got = student.linear(x - student.mean)
    assert got.detach().numpy() == pytest.approx(targets.numpy(), abs=1e-2)


def test_training_brings_texts_to_their_targets(tmp_path: Path) -> None:
    student, lessons = _student(), _lessons(tmp_path)
    wanted = lessons.teacher.repeat(2, 1).numpy()

    def cosine() -> float:
        return float((encode(student, _rows()).numpy() * wanted).sum(1).mean())

    frozen = next(student.tower.layers[0].parameters())
    before, start = cosine(), frozen.clone()
    config = replace(_CONFIG, steps=25, every=25, average=0.5)
    Distiller(student, lessons, config, lambda _: None).run(tmp_path / "state.pt")
    assert cosine() > before + 0.2
    assert frozen.equal(start)


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, parted, lessons = _student(), _student(), _lessons(tmp_path)
    Distiller(whole, lessons, _CONFIG, lambda _: None).run(tmp_path / "whole.pt")

    def stop(line: str) -> None:
        if line.startswith("text tower: step 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Distiller(parted, lessons, _CONFIG, stop).run(tmp_path / "parted.pt")
    lines: list[str] = []
    resumed = _student()
    Distiller(resumed, lessons, _CONFIG, lines.append).run(tmp_path / "parted.pt")
    assert lines[0] == "resuming after step 4"
    assert _weights(resumed) == pytest.approx(_weights(whole), abs=1e-6)
    assert resumed.get_buffer("mean").equal(whole.get_buffer("mean"))


def test_another_config_starts_again(tmp_path: Path) -> None:
    lessons = _lessons(tmp_path)
    Distiller(_student(), lessons, _CONFIG, lambda _: None).run(tmp_path / "state.pt")
    lines: list[str] = []
    Distiller(_student(), lessons, replace(_CONFIG, pairs=8), lines.append).run(tmp_path / "state.pt")
    assert "another config" in lines[0]


def test_texts_are_encoded_in_their_order() -> None:
    student, rows = _student().eval(), [[0, 5, 6, 7, 2], [0, 2], [0, 9, 2]]
    with torch.no_grad():
        alone = np.concatenate([student(pad([row], 1)).numpy() for row in rows])
    assert encode(student, rows).numpy() == pytest.approx(alone, abs=1e-5)


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
    """A student whose embeddings and linear layers are exact in four bits."""
    student = _student().eval()
    with torch.no_grad():
        torch.nn.init.normal_(student.down.weight, std=0.05)
        student.get_buffer("mean").copy_(torch.randn(32) * 0.05)
        for layer in student.modules():
            if (
                isinstance(layer, torch.nn.Linear | torch.nn.Embedding)
                and layer is not student.tower.positions
            ):
                layer.weight.copy_(torch.from_numpy(_in_four_bits(layer.weight.numpy())))
    return student


def _in_four_bits(weight: np.ndarray) -> np.ndarray:
    packed, scale = quantise4(weight)
    whole = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32) - 8
    return (whole * scale.astype(np.float32)).reshape(weight.shape)


def test_text_graph_is_the_student_and_ignores_padding() -> None:
    student = _exact_student()
    ids = np.array([[0, 7, 2, 1, 1], [0, 7, 9, 30, 2]], np.int32)
    with torch.no_grad():
        expected = student(torch.from_numpy(ids).long()).numpy()
    graph = student_graph(student)
    got = _run(graph, text=ids)
    assert (got * expected).sum(1) == pytest.approx([1, 1], abs=2e-3)
    assert _run(graph, text=ids[:1, :3])[0] == pytest.approx(got[0], abs=1e-5)


def test_the_tower_beside_an_english_one_embeds_as_the_modules_do(tmp_path: Path) -> None:
    student = _exact_student()
    pieces = [*SPECIAL, "\u2581", *(chr(97 + i) for i in range(25)), *"狗猫车花山水人火木土日"][:40]
    vocabulary = Vocabulary(np.arange(40), pieces, [-5.0] * 40)
    tower = MultilingualTower(student, vocabulary)
    english = Encoder(ModelFolder.read(make_model_folder(tmp_path / "model", dim=_WIDTH)))
    dog = english.encode_texts(["dog"])[0]
    write_multilingual(tmp_path / "model", tower, ["dog", "?a"])
    texts = Encoder(ModelFolder.read(tmp_path / "model")).encode_texts(["hund a", "HUND  a", "狗", "dog"])
    assert texts[1] == pytest.approx(texts[0], abs=1e-6)
    assert texts[3] == pytest.approx(dog, abs=1e-6)
    expected = tower.embed(["hund a", "狗"]).numpy()
    assert (texts[[0, 2]] * expected).sum(1) == pytest.approx([1, 1], abs=2e-3)
