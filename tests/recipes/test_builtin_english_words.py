"""The list of English words, from data folders of a few words."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from recipes.builtin import english_words
from recipes.builtin.data import Photo
from recipes.builtin.languages import PAIRS
from tests.recipes.builtin_data import write_captions, write_pairs

pytestmark = pytest.mark.torch

_LANGUAGES = ("zh", "zh_translated", "de", "de_described", "fr", "ar", "es_machine")


def _lines(data: Path, monkeypatch: pytest.MonkeyPatch, vocabulary: list[str]) -> list[str]:
    for name in PAIRS:
        write_pairs(data, name, [("de", "red", "rot"), ("sw", "dog", "mbwa")])
    for name in _LANGUAGES:
        write_captions(data, name, [("0.jpg", "chat " * 20 + "pain " * 200)] if name == "fr" else [])
    (data / "coco_val2017_captions.txt").write_text("a chat about pain\n")
    monkeypatch.setattr(english_words, "vocabulary_words", lambda: vocabulary)
    monkeypatch.setattr(english_words, "class_names", lambda data: ["tench"])
    monkeypatch.setattr(english_words, "class_words", lambda i, name: [name, name])
    photos = [
        Photo("captioned/0.jpg", "flickr", "train", ("a dog " * 20, "a dgo"), "0"),
        Photo("captioned/1.jpg", "flickr", "test", ("unseen unseen",), "1"),
    ]
    return english_words.english_words(data, photos, "all")


def test_words_are_listed_marked_or_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _lines(tmp_path, monkeypatch, ["chat", "pain", "rot", "kiwi"])
    assert lines == sorted(lines)
    assert {"a", "dog", "tench", "red"} <= set(lines)  # often used
    assert "kiwi" in lines  # of the vocabulary, and of no other language
    assert "?chat" in lines and "chat" not in lines  # French uses it four times as often
    assert not {"pain", "?pain"} & set(lines)  # French uses it much more often
    assert not {"rot", "?rot", "dgo", "unseen", "mbwa"} & set(lines)
