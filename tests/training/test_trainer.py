"""The training loop: it learns, resumes exactly, and ends with an error where it must."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clipsight.clip.architecture import Architecture, TextConfig, VisionConfig
from clipsight.clip.checkpoint import save
from clipsight.clip.factory import create
from clipsight.clip.model import CLIP
from clipsight.clip.pretrained import find_weights, read_preprocess
from clipsight.core.errors import CheckpointError, LabelError, ModelError, TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.config import TrainConfig
from clipsight.training.distributed import Distributed
from clipsight.training.loader import Batch
from clipsight.training.run_log import COLUMNS, read_metrics
from clipsight.training.train import TrainResult, train
from clipsight.training.trainer import LAST, Progress, Trainer, read_state
from tests.support import pictures

pytestmark = pytest.mark.torch

ALONE = Distributed(0, 1, torch.device("cpu"))
ARCHITECTURE = Architecture(
    16,
    VisionConfig(image_size=16, layers=1, width=32, patch_size=8, head_width=16),
    TextConfig(context_length=12, width=16, heads=1, layers=1),
)
CONFIG = TrainConfig(epochs=3, batch=8, learning_rate=1e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captions.csv of 36 small pictures."""
    return pictures.write(
        tmp_path_factory.mktemp("pictures"),
        pictures.scenes(colour=3, shape=3, size=1, place=2, count=2),
        1,
        16,
    )


@pytest.fixture(scope="module")
def arch(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _file(tmp_path_factory.mktemp("arch"), ARCHITECTURE)


def _file(folder: Path, architecture: Architecture) -> str:
    path = folder / "architecture.json"
    path.write_text(json.dumps(architecture.to_dict()))
    return str(path)


@dataclass
class Watcher:
    """Keeps what it is told, and ends the run after a step if asked to."""

    stop: int | None = None

    def __post_init__(self) -> None:
        self.steps: list[Progress] = []
        self.metrics: dict[int, Mapping[str, float]] = {}

    def on_step(self, progress: Progress) -> None:
        self.steps.append(progress)
        if progress.step == self.stop:
            raise KeyboardInterrupt

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics[step] = metrics


def _train(data: Path, folder: Path, arch: str | None, **options: Any) -> TrainResult:
    options = {"config": CONFIG, "hold_out": 10, "workers": 0, "device": "cpu", **options}
    return train(data, folder, arch=arch, **options)


def _weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = read_state(folder / LAST)["state_dict"]
    return state


def test_a_trained_model_finds_photos_by_words(tmp_path: Path) -> None:
    """From nothing, in a minute: >= 90 % of the pictures of combinations it never saw are found at once."""
    seen, unseen = pictures.split(pictures.scenes(colour=6, shape=4, count=2), 0.2)
    training = pictures.write(tmp_path / "seen", seen, 8, 64)
    held_out = pictures.write(tmp_path / "unseen", unseen, 1, 64, seed=1)
    architecture = Architecture(
        64,
        VisionConfig(image_size=64, layers=(1, 1, 1, 1), width=8, patch_size=None, head_width=32),
        TextConfig(context_length=12, width=64, heads=2, layers=1),
    )
    config = TrainConfig(epochs=6, batch=128, learning_rate=2e-3, weight_decay=0.05)
    arch = _file(tmp_path, architecture)
    done = _train(training, tmp_path / "run", arch, config=config, val=held_out, save_every=144)
    assert done.held_out == len(unseen) == 96
    assert done.metrics["text_to_image@1"] >= 0.9 and done.metrics["image_to_text@1"] >= 0.9


def test_a_run_writes_all_documented_files(data: Path, arch: str, tmp_path: Path) -> None:
    watcher = Watcher()
    done = _train(data, tmp_path / "run", arch, observer=watcher)
    assert (done.photos, done.held_out, done.steps, done.skipped) == (26, 10, 9, ())
    assert [each.step for each in watcher.steps] == list(range(1, 10))
    assert sorted(watcher.metrics) == [3, 6, 9] and watcher.metrics[9] == done.metrics
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [row["step"] for row in rows] == [3, 6, 9] and rows[-1]["epoch"] == 3
    for name, value in done.metrics.items():
        assert rows[-1][name] == pytest.approx(value, abs=1e-5)
    with Image.open(tmp_path / "run" / "curves.png") as curves:
        assert curves.format == "PNG"
    assert any((tmp_path / "run" / "tensorboard").iterdir())
    best = create(pretrained=tmp_path / "run" / "best")
    assert best.architecture == ARCHITECTURE
    scores = {
        step: each["text_to_image@1"] + each["image_to_text@1"] for step, each in watcher.metrics.items()
    }
    assert scores[done.best_step] == max(scores.values())
    assert not list((tmp_path / "run").glob(".*"))


def test_the_best_weights_are_saved(data: Path, arch: str, tmp_path: Path) -> None:
    """The second checkpoint measures best; the last is another."""
    recalls = iter([0.1, 0.5, 0.3])
    kept: list[dict[str, Tensor]] = []

    def measure(model: CLIP) -> dict[str, float]:
        kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"text_to_image@1": next(recalls), "image_to_text@1": 0.0}

    trainer = _trainer(tmp_path, evaluate=measure)
    trainer.run(_noise(9))
    assert trainer.best == (0.25, 6)
    best = create(pretrained=tmp_path / "best").state_dict()
    assert all(torch.equal(best[name], tensor) for name, tensor in kept[1].items())
    assert all(torch.equal(_weights(tmp_path)[name], tensor) for name, tensor in kept[2].items())


def _trainer(folder: Path, config: TrainConfig = CONFIG, **options: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    return Trainer(
        CLIP(ARCHITECTURE), config, folder, ALONE, preprocess=PreprocessConfig(), photos=24, **options
    )


@dataclass(frozen=True)
class Noise(Batch):
    """A batch whose pictures may hold what is no number."""

    broken: bool = False

    def to_inputs(self, device: torch.device, config: PreprocessConfig) -> tuple[Tensor, Tensor]:
        images, ids = super().to_inputs(device, config)
        return images * math.nan if self.broken else images, ids


def _noise(steps: int, broken: int | None = None) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(1)
    for step in range(1, steps + 1):
        pixels = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8, generator=generator)
        ids = torch.randint(1, 49406, (8, 12), generator=generator)
        yield Noise(pixels, ids, broken=step == broken)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    data: Path, arch: str, tmp_path: Path, micro_batch: int | None
) -> None:
    """Stopped within the second epoch, two steps after its last checkpoint."""
    options = {"config": replace(CONFIG, micro_batch=micro_batch), "save_every": 2, "workers": 1}
    whole = _train(data, tmp_path / "whole", arch, **options)
    with pytest.raises(KeyboardInterrupt):
        _train(data, tmp_path / "parts", arch, observer=Watcher(stop=5), **options)
    assert read_state(tmp_path / "parts" / LAST)["optimizer"]["step"] == 4
    torch.manual_seed(99)  # whatever else the process did
    parts = _train(data, tmp_path / "parts", arch, resume=True, **options)
    _assert_equal(*(read_state(tmp_path / name / LAST) for name in ("whole", "parts")))
    best = [create(pretrained=tmp_path / name / "best").state_dict() for name in ("whole", "parts")]
    _assert_equal(*best)
    assert (parts.metrics, parts.best_step) == (whole.metrics, whole.best_step)
    assert _comparable_rows(tmp_path / "whole") == _comparable_rows(tmp_path / "parts")


def _assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for each, same in zip(one, other, strict=True):
            _assert_equal(each, same)
    else:
        assert one == other


def _comparable_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "samples_per_second"} for row in csv.DictReader(file)]


def test_long_epochs_are_saved_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipsight.training.trainer.SAVE_SECONDS", 0.0)
    with pytest.raises(StopIteration):
        _trainer(tmp_path, save_every=100).run(_noise(5))
    assert read_state(tmp_path / LAST)["optimizer"]["step"] == 5


def test_resuming_a_finished_run_does_nothing(data: Path, arch: str, tmp_path: Path) -> None:
    done = _train(data, tmp_path / "run", arch)
    before = (tmp_path / "run" / "metrics.csv").read_text()
    watcher = Watcher()
    again = _train(data, tmp_path / "run", arch, resume=True, observer=watcher)
    assert again == done and watcher.steps == []
    assert (tmp_path / "run" / "metrics.csv").read_text() == before


def test_another_run_can_not_be_resumed(data: Path, arch: str, tmp_path: Path) -> None:
    _train(data, tmp_path / "run", arch)
    with pytest.raises(TrainingError, match="holds a run already; continue it with `resume=True`"):
        _train(data, tmp_path / "run", arch)
    other = replace(CONFIG, learning_rate=1e-4)
    with pytest.raises(TrainingError, match=r"other options \(learning_rate 0\.001\)"):
        _train(data, tmp_path / "run", arch, config=other, resume=True)
    more = pictures.write(
        tmp_path / "more", pictures.scenes(colour=3, shape=3, size=1, place=2, count=2), 1, 16
    )
    more.write_text(more.read_text().replace("red", "pink"))
    with pytest.raises(TrainingError, match=r"other options \(data"):
        _train(more, tmp_path / "run", arch, resume=True)
    with pytest.raises(TrainingError, match="no run to resume"):
        _train(data, tmp_path / "none", arch, resume=True)
    (tmp_path / "run" / "last.pt").write_bytes(b"PK\3\4 cut")
    with pytest.raises(TrainingError, match="no checkpoint of a run, or damaged"):
        _train(data, tmp_path / "run", arch, resume=True)


def test_a_nan_loss_ends_the_run_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    good, broken = _trainer(tmp_path / "good"), _trainer(tmp_path / "broken")
    broken_batches = _noise(9, broken=5)
    with pytest.raises(
        TrainingError, match=r"the loss is nan at step 5; .*last\.pt is good, of step 3; try a lower"
    ):
        broken.run(broken_batches)
    good._save_every = 3
    with pytest.raises(StopIteration):
        good.run(_noise(3))
    _assert_equal(_weights(tmp_path / "broken"), _weights(tmp_path / "good"))
    assert all(torch.isfinite(each).all() for each in broken.model.state_dict().values())
    with pytest.raises(TrainingError, match="at step 1; there is no checkpoint yet"):
        _trainer(tmp_path / "early").run(_noise(9, broken=1))


def test_bad_photos_are_replaced_and_counted_and_too_many_are_an_error(
    data: Path, arch: str, tmp_path: Path
) -> None:
    table = pictures.write(
        tmp_path / "p", pictures.scenes(colour=3, shape=3, size=1, place=2, count=2), 1, 16
    )
    (tmp_path / "p" / "0004-0.png").write_bytes(b"no photo")
    (tmp_path / "p" / "0007-0.png").unlink()
    with pytest.raises(TrainingError, match=r"of 36 photos can't be used, more than `max_bad` 0\.01; one is"):
        _train(table, tmp_path / "strict", arch, hold_out=0)
    lenient = replace(CONFIG, max_bad=0.2)
    done = _train(table, tmp_path / "lenient", arch, config=lenient, hold_out=0)
    assert {Path(name).name for name, _ in done.skipped} == {"0004-0.png", "0007-0.png"}
    rows = "".join(f"0001-0.png{n},\n" for n in range(2))
    table.write_text(table.read_text() + rows)
    done = _train(table, tmp_path / "blank", arch, config=lenient, hold_out=0)
    assert len(done.skipped) == 4
    with pytest.raises(TrainingError, match=r"2 of 38 entries have no caption or no photo"):
        _train(table, tmp_path / "blanks", arch, config=replace(CONFIG, max_bad=0.03))


def test_data_without_a_readable_photo_ends_the_run(arch: str, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("filepath,caption\n" + "".join(f"{n}.jpg,a photo\n" for n in range(2000)))
    with pytest.raises(
        TrainingError, match=r"in a row can't be read; the last was .*\d\.jpg: can't be read: No"
    ):
        _train(table, tmp_path / "run", arch, config=replace(CONFIG, max_bad=0.5))


def test_invalid_settings_are_errors_with_a_reason(data: Path, arch: str, tmp_path: Path) -> None:
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (
            TrainingError,
            "a batch of 64 is larger than the data, 26 photos",
            {"config": TrainConfig(batch=64)},
        ),
        (TrainingError, "40 photos can't be held out of 36", {"hold_out": 40}),
        (TrainingError, "`lock` keeps a trained tower", {"config": replace(CONFIG, lock="image")}),
        (TrainingError, "the device 'abacus' can't be used", {"device": "abacus"}),
        (LabelError, "no such folder", {"zero_shot": tmp_path / "none"}),
    ]
    for error, said, options in cases:
        with pytest.raises(error, match=said):
            _train(data, tmp_path / "run", arch, **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="can't be made"):
        _train(data, tmp_path / "file" / "run", arch)
    with pytest.raises(TrainingError, match="set `arch`"):
        _train(data, tmp_path / "run", None)
    with pytest.raises(ModelError, match="no architecture is called 'ViT-B-33'; did you mean ViT-B-32"):
        _train(data, tmp_path / "run", "ViT-B-33")
    small = replace(ARCHITECTURE, text_cfg=replace(ARCHITECTURE.text_cfg, vocab_size=50))
    with pytest.raises(TrainingError, match="a vocabulary of 50 tokens"):
        _train(data, tmp_path / "run", _file(tmp_path, small))


def test_training_starts_from_given_weights_of_the_same_architecture(
    data: Path, arch: str, tmp_path: Path
) -> None:
    _train(data, tmp_path / "run", arch)
    best = str(tmp_path / "run" / "best")
    still = replace(CONFIG, epochs=1, learning_rate=0.0)
    _train(data, tmp_path / "more", None, init=best, config=still)
    _assert_equal(_weights(tmp_path / "more"), dict(create(pretrained=best).state_dict()))
    with pytest.raises(CheckpointError, match="of another architecture"):
        _train(data, tmp_path / "other", "ViT-tiny-8", init=best)


def test_preprocessing_is_that_of_the_given_weights(data: Path, arch: str, tmp_path: Path) -> None:
    """Which is kept: by the checkpoint for a run that goes on, by `best/` for whatever comes after."""
    config = PreprocessConfig((16, 16), mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7), resize_mode="squash")
    save(CLIP(ARCHITECTURE), tmp_path / "other", "openclip", config)
    options = {"init": str(tmp_path / "other"), "config": replace(CONFIG, epochs=2)}
    _train(data, tmp_path / "whole", None, **options)
    assert read_preprocess(find_weights(tmp_path / "whole"), 16) == config
    with pytest.raises(KeyboardInterrupt):
        _train(data, tmp_path / "parts", None, observer=Watcher(stop=5), **options)
    _train(data, tmp_path / "parts", None, resume=True, **options)
    _assert_equal(_weights(tmp_path / "whole"), _weights(tmp_path / "parts"))
    save(CLIP(ARCHITECTURE), tmp_path / "plain", "openclip")
    _train(data, tmp_path / "as clip", None, **{**options, "init": str(tmp_path / "plain")})
    assert not torch.equal(
        _weights(tmp_path / "whole")["visual.proj"], _weights(tmp_path / "as clip")["visual.proj"]
    )


@pytest.mark.parametrize(("lock", "prefix"), [("image", "visual."), ("text", "text.")])
def test_a_locked_tower_stays_as_it_is(data: Path, arch: str, tmp_path: Path, lock: Any, prefix: str) -> None:
    _train(data, tmp_path / "run", arch)
    best = tmp_path / "run" / "best"
    _train(data, tmp_path / "locked", None, init=str(best), config=replace(CONFIG, lock=lock, micro_batch=4))
    before, after = create(pretrained=best).state_dict(), _weights(tmp_path / "locked")
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) == name.startswith(prefix), name


def test_a_locked_resnet_keeps_its_statistics(tmp_path: Path) -> None:
    resnet = replace(ARCHITECTURE, vision_cfg=VisionConfig(32, (1, 1, 1, 1), 8, None, head_width=32))
    model = CLIP(resnet)
    before = {name: tensor.clone() for name, tensor in model.visual.state_dict().items()}
    options = {"preprocess": PreprocessConfig(), "photos": 8}
    trainer = Trainer(model, replace(CONFIG, lock="image"), tmp_path, ALONE, **options)  # type: ignore[arg-type]
    pixels = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
    trainer.run(iter([Batch(pixels, torch.randint(1, 49406, (8, 12)))] * 3))
    _assert_equal(before, dict(model.visual.state_dict()))


def test_zero_shot_accuracy_is_measured_on_request(data: Path, arch: str, tmp_path: Path) -> None:
    for name, colour in (("red_square", (200, 0, 0)), ("blue_square", (0, 0, 200))):
        (tmp_path / "classes" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (20, 20), colour).save(tmp_path / "classes" / name / f"{number}.png")
    done = _train(data, tmp_path / "run", arch, zero_shot=tmp_path / "classes", hold_out=0)
    assert done.metrics.keys() == {"zero_shot"} and done.metrics["zero_shot"] in {n / 6 for n in range(7)}
    assert read_metrics(tmp_path / "run" / "metrics.csv")[-1]["zero_shot"] == pytest.approx(
        done.metrics["zero_shot"]
    )


def test_the_logit_scale_stays_within_the_papers_bounds(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    with torch.no_grad():
        trainer.model.logit_scale.fill_(9.0)
    with pytest.raises(StopIteration):
        trainer.run(_noise(1))
    assert trainer.model.logit_scale.item() == pytest.approx(math.log(100))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_training_in_half_precision(tmp_path: Path, precision: Any) -> None:
    config = replace(CONFIG, precision=precision, micro_batch=4)
    losses = []
    for each in (CONFIG, config):
        watcher = Watcher()
        _trainer(tmp_path / each.precision, each).run(_noise(9), watcher)
        losses.append([step.loss for step in watcher.steps])
    assert np.abs(np.array(losses[0]) - losses[1]).max() < 0.05
    assert losses[0] != losses[1]


def test_activation_checkpointing_changes_no_weight(data: Path, arch: str, tmp_path: Path) -> None:
    for name, enabled in (("without", False), ("with", True)):
        _train(data, tmp_path / name, arch, activation_checkpointing=enabled)
    _assert_equal(_weights(tmp_path / "without"), _weights(tmp_path / "with"))


def test_metrics_name_their_columns(data: Path, arch: str, tmp_path: Path) -> None:
    _train(data, tmp_path / "run", arch)
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header == ",".join(COLUMNS)
