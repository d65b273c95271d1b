"""The losses against plain NumPy, and a run that stops half-way against one that does not. Needs PyTorch."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from recipes.builtin import train as training  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402
from recipes.builtin.features import MAPS, View  # noqa: E402
from recipes.builtin.loss import (  # noqa: E402
    anchor_loss,
    forgetting_loss,
    naming_loss,
    ranking_loss,
    same_label,
)
from recipes.builtin.model import FEATURES, Builtin  # noqa: E402
from recipes.builtin.towers import ImageTower, TextShape, TextTower, fast_precision  # noqa: E402
from tests.support.arrays import unit  # noqa: E402

pytestmark = pytest.mark.torch


def _unit(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return unit(rng.normal(size=shape))


def _log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = x - x.max(1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return logs


@pytest.mark.parametrize(("capability", "half"), [("AVX2", False), ("DEFAULT", False), ("AVX512", True)])
def test_half_precision_only_where_the_processor_is_fast_at_it(
    monkeypatch: pytest.MonkeyPatch, capability: str, half: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    x = torch.ones(2, 3)
    with fast_precision(torch.device("cpu")):
        assert (x @ x.T).dtype == (torch.bfloat16 if half else torch.float32)


def test_photos_of_one_label_are_the_same() -> None:
    assert same_label(torch.tensor([0, 0, 1])).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_anchor_and_forgetting_are_zero_where_nothing_moved() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
    assert anchor_loss(vectors, vectors).item() == pytest.approx(0, abs=1e-6)
    logits = torch.randn(4, 8)
    assert forgetting_loss(logits, logits.softmax(1)).item() == pytest.approx(0, abs=1e-6)
    assert forgetting_loss(-logits, logits.softmax(1)).item() > 0.1


def test_naming_loss_is_the_divergence_of_each_photo_weighed_by_what_is_covered() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, (5, 4))
    before = rng.dirichlet(np.ones(6), 5)[:, :4]
    wanted = before / before.sum(1, keepdims=True)
    rows = (wanted * (np.log(wanted) - _log_softmax(20 * cosines))).sum(1)
    expected = (before.sum(1) * rows).mean()
    got = naming_loss(torch.tensor(cosines), torch.tensor(20.0), torch.tensor(before))
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_ranking_loss_is_zero_where_words_rank_photos_as_before() -> None:
    before = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (5, 7)))
    assert ranking_loss(before / 2, torch.tensor(40.0), before, 20.0).item() == pytest.approx(0, abs=1e-9)
    assert ranking_loss(-before, torch.tensor(20.0), before, 20.0).item() > 0.1


def _training_data() -> training.TrainingData:
    rng = np.random.default_rng(0)
    sources = ["flickr"] * 12 + ["coco"] * 2 + ["products"] * 3 + ["clothing", "scenes", "imagenet"] * 2
    photos = [Photo(f"{i}.jpg", s, "train", (f"{i} one", f"{i} two"), str(i)) for i, s in enumerate(sources)]
    pooled = rng.random((len(photos), FEATURES), dtype=np.float32)
    maps = rng.normal(size=(len(photos), *MAPS)).astype(np.float16)
    return training.TrainingData(photos, [View(pooled, maps)], ["a sentence"], [["a", "an a"]] * 1000)


def _train(tmp_path: Path, config: training.TrainConfig, *, stop_after: int | None = None) -> list[float]:
    """Sums of the weights after a run; with `stop_after`, of one that was interrupted and taken up again."""
    lines: list[str] = []

    def trainer() -> training.Trainer:
        torch.manual_seed(0)
        text = TextTower(TextShape(vocabulary=50, positions=16, layers=1))
        model = Builtin(ImageTower(), text, torch.eye(1000, 384), config.hidden, 0.1)
        return training.Trainer(model, _training_data(), config, lines.append)

    checkpoint = tmp_path / "training.pt"
    first = trainer()
    if stop_after is not None:
        epoch, done = first._epoch, 0

        def interrupted(number: int) -> float:
            nonlocal done
            if done == stop_after:
                raise KeyboardInterrupt
            done += 1
            return epoch(number)

        first._epoch = interrupted  # type: ignore[assignment, method-assign]
        with pytest.raises(KeyboardInterrupt):
            first.run(checkpoint)
        first = trainer()
    first.run(checkpoint)
    if stop_after is not None:
        assert f"resuming after epoch {stop_after}" in lines
    return [float(p.detach().double().sum()) for p in first.trained]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token ids without the tower package's tokenizer."""
    monkeypatch.setattr(training, "tokenise", lambda texts: [[1, 5 + len(t) % 40, 2] for t in texts])
    monkeypatch.setattr(training, "vocabulary_words", lambda: ["word", "other"])


@pytest.mark.usefixtures("words")
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    config = training.TrainConfig(hidden=16, captioned=4, head_epochs=1, joint_epochs=1)
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole = _train(tmp_path / "whole", config)
    broken = _train(tmp_path / "broken", config, stop_after=1)
    assert broken == pytest.approx(whole, rel=1e-3, abs=1e-3)


@pytest.mark.usefixtures("words")
def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    first = training.TrainConfig(hidden=16, captioned=4, head_epochs=1, joint_epochs=0)
    _train(tmp_path, first)
    torch.manual_seed(0)
    lines: list[str] = []
    model = Builtin(
        ImageTower(),
        TextTower(TextShape(vocabulary=50, positions=16, layers=1)),
        torch.eye(1000, 384),
        16,
        0.1,
    )
    other = training.TrainConfig(hidden=16, captioned=8, head_epochs=1, joint_epochs=0)
    training.Trainer(model, _training_data(), other, lines.append).run(tmp_path / "training.pt")
    assert any("another config" in line for line in lines)
