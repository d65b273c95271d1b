"""The multilingual stages as a whole on tiny towers: lessons from the data folders, and training."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("opencc")

from recipes.builtin import lessons, multilingual  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402
from recipes.builtin.distil import DistilConfig  # noqa: E402
from recipes.builtin.e5 import read_e5  # noqa: E402
from recipes.builtin.languages import PAIRS  # noqa: E402
from recipes.builtin.lessons import Texts  # noqa: E402
from tests.recipes.builtin_data import write_captions, write_everyday, write_pairs  # noqa: E402
from tests.recipes.test_builtin_vocabulary import write_e5  # noqa: E402

pytestmark = pytest.mark.torch


def _photos() -> list[Photo]:
    splits = ("train", "train", "train", "dev", "test")
    return [
        Photo(f"captioned/{i}.jpg", "flickr", split, (f"two dog {i}", "a dog"), f"{i}.jpg")
        for i, split in enumerate(splits)
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_everyday(tmp_path)
    for name in PAIRS:
        write_pairs(
            tmp_path, name, [("de", "two dog", "two hund"), ("zh", "dog", "狗"), ("sw", "dog", "mbwa")]
        )
    write_captions(tmp_path, "zh", [(f"{i}.jpg", f"汽车{i}") for i in range(5)])
    for name in ("zh_translated", "de", "de_described", "fr", "ar", "es_machine"):
        write_captions(tmp_path, name, [("3.jpg", "hund")])
    (tmp_path / "coco_val2017_captions.txt").write_text("a dog on a hat\n")
    return tmp_path


def test_captions_of_held_out_photos_are_unseen(data: Path) -> None:
    unseen = lessons.unseen_texts(data, _photos())
    assert {"two dog 3", "two dog 4", "汽车3", "汽车4", "hund"} <= set(unseen)
    assert not {"two dog 0", "汽车0"} & set(unseen)


def _taught(texts: Texts) -> set[tuple[str, str, str]]:
    return {(language, texts.texts[text], texts.texts[english]) for language, text, english in texts.pairs}


def test_pairs_hold_english_traditional_chinese_prompts_and_mixed_words(data: Path) -> None:
    rows = [("zh", "car", "汽车"), ("de", "dog", "hund"), ("sw", "dog", "mbwa")]
    write_pairs(data, "wordnet_concrete_nouns", rows)
    texts = lessons.choose_texts(data, _photos(), "all")
    found = _taught(texts)
    assert ("en", "two dog 0", "two dog 0") in found
    assert ("en", "a dog on a hat", "a dog on a hat") in found
    assert ("zh", "汽车", "car") in found
    assert ("zh", "一张car的照片", "a photo of car") in found  # the English word, as people mix languages
    assert not any(text in ("mbwa", "two dog 3") for _, text, _ in found)
    assert {"en", "zh"} <= {language for language, _, _ in found} <= {"en", "zh", "zh-Hant", "de"}
    assert all(english < texts.english for _, _, english in texts.pairs)
    assert len(set(texts.texts)) == len(texts.texts)


def test_free_licences_leave_out_research_sets(data: Path) -> None:
    texts = lessons.choose_texts(data, _photos(), "free")
    assert {language for found in texts.captions for language, _ in found} == {"en"}


def test_captions_by_language_and_in_both_kinds_of_characters(data: Path) -> None:
    texts = lessons.choose_texts(data, _photos(), "all")
    captions = [[(language, texts.texts[text]) for language, text in found] for found in texts.captions]
    assert {("en", "a dog"), ("zh", "汽车0"), ("zh-Hant", "汽車0")} <= set(captions[0])
    assert not any(language == "de" for language, _ in captions[0])
    assert captions[3] == captions[4] == []  # held out


def test_the_tower_learns_and_finds(data: Path) -> None:
    write_e5(data / "e5.bin")
    photos = _photos()
    chosen = lessons.choose_texts(data, photos, "all")
    torch.manual_seed(0)
    images = torch.nn.functional.normalize(torch.randn(len(photos), 16), dim=1)
    teacher = torch.nn.functional.normalize(torch.randn(chosen.english, 16), dim=1)
    tower = multilingual.new_tower(read_e5(data / "e5.bin"), chosen.texts, 16, size=24, layers=2, frozen=1)
    before = tower.embed(["dog"])
    lines: list[str] = []
    config = DistilConfig(steps=2, pairs=6, captions=3, every=1)
    multilingual.teach(tower, chosen, teacher, photos, images, config, data, lines.append)
    steps = [line.split(",")[0] for line in lines[1:]]
    assert steps == ["text tower: step 1 of 2", "text tower: step 2 of 2"]
    after = tower.embed(["Two DOG", "two  dog", "dog"])
    assert after[0].numpy() == pytest.approx(after[1].numpy(), abs=1e-6)
    assert not np.allclose(before.numpy(), after[2:].numpy())
    for language in ("en", "zh", "de"):
        assert multilingual.dev_recall(tower, data, photos, images, language) == [100.0] * 3  # one photo
