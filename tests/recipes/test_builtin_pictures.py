"""The choice of photos, their batches, texts and captions. Needs PyTorch."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import Tensor  # noqa: E402

from recipes.builtin import pictures as selection  # noqa: E402
from recipes.builtin import texts as english_texts  # noqa: E402
from recipes.builtin import train  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402
from recipes.builtin.pictures import Pictures  # noqa: E402

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
    assert selection.chosen_photos(_PHOTOS, (), "all") == _PHOTOS


def test_free_licences_leave_photos_out_and_keep_those_to_measure_on() -> None:
    chosen = selection.chosen_photos(_PHOTOS, (), "free")
    assert [photo.path for photo in chosen if photo.split == "train"] == ["2", "5"]
    assert [photo.split for photo in chosen if photo.path in "36"] == ["test", "dev"]
    assert [photo.path for photo in chosen] == [photo.path for photo in _PHOTOS]


def test_the_control_run_trains_on_no_photo_of_a_held_out_name() -> None:
    chosen = selection.chosen_photos(_PHOTOS, {"plum"}, "all")
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


def test_english_batches_are_unchanged_by_the_new_group() -> None:
    photos = [_photo(str(i), ("flickr", "coco", "imagenet")[i % 3], "train", str(i)) for i in range(30)]
    config = train.TrainConfig(captioned=8)
    batches = list(train._batches(photos, config, np.random.default_rng(1)))
    assert [len(batch) for batch in batches] == [8 + round(8 * train.SHARES["imagenet"])] * (30 // 8)


def test_augmented_views_are_of_sets_that_the_english_model_did_not_learn_at_length() -> None:
    assert selection.viewed(_PHOTOS, 0) == [0, 1, 2, 4, 5, 6]
    assert selection.viewed(_PHOTOS, 1) == [1, 2, 4]


def _photos_with_captions() -> Pictures:
    views = [np.zeros((3, 4), np.float32)]
    captions = [("a dog", "dog"), (), ("plum",)]
    classes = [("tench",), ("goldfish", "fish")]
    return Pictures(_PHOTOS[:3], views, captions, classes, {2: (("a plum", "a hat"), 0)})


def test_pictures_number_their_texts() -> None:
    pictures = _photos_with_captions()
    texts = pictures.texts()
    assert texts == ["tench", "goldfish", "fish", "a dog", "dog", "plum", "a plum", "a hat"]
    vectors = dict(zip(texts, torch.eye(8), strict=True))
    known, lessons = pictures.lessons(vectors)
    assert known[1].tolist() == pytest.approx([0, 0.5**0.5, 0.5**0.5, 0, 0, 0, 0, 0])
    assert [[texts[i] for i in rows] for rows in lessons.captions] == [["a dog", "dog"], [], ["plum"]]
    assert [texts[i] for i in lessons.prompts[2].texts] == ["a plum", "a hat"]
    assert lessons.texts.shape == (8, 8)


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

    monkeypatch.setattr(english_texts, "_KEPT_EVERY", 2)
    monkeypatch.setattr(english_texts, "tokenise", lambda texts: texts)
    monkeypatch.setattr(english_texts, "encode", encode)
    model = SimpleNamespace(text_head=SimpleNamespace(linear=SimpleNamespace(out_features=4)))
    with pytest.raises(KeyboardInterrupt):
        english_texts.caption_vectors(model, texts, tmp_path, stop)  # type: ignore[arg-type]
    assert asked == texts[:2]
    vectors = english_texts.caption_vectors(model, texts, tmp_path, print)  # type: ignore[arg-type]
    assert asked == texts
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0] * 5)
    assert english_texts.caption_vectors(model, texts, tmp_path, print).equal(vectors)  # type: ignore[arg-type]
    assert asked == texts
    english_texts.caption_vectors(model, texts[:2], tmp_path, print)  # type: ignore[arg-type]
    assert asked == [*texts, *texts[:2]]
