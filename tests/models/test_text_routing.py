"""Which of two text towers reads a text."""

from pathlib import Path

import numpy as np
import pytest

from clipsight.core.errors import ModelError
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.models.text_routing import ENGLISH, TextRouting, words_of
from tests.support.tiny_models import add_multilingual_tower, make_model_folder

ENGLISH_WORDS = ["a", "dog", "s", "red", "on", "main", "?die", "?chat", "?pain"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_model_folder(tmp_path_factory.mktemp("two") / "towers", seed=0, context=8)
    return add_multilingual_tower(path, ENGLISH_WORDS, seed=1)


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("a red dog", True),
        ("A RED Dog!", True),
        ("a dog\u2019s 2 dogs", False),
        ("a dog\u2019s 2", True),
        ("a red dog on main dgo", True),
        ("a red dog on dgo", False),
        ("a red dog on main Straße", False),
        ("a red dog on main 我的", False),
        ("die", False),
        ("a chat", True),
        ("chat pain", False),
        ("le chat", False),
        ("ein Hund", False),
        ("我的 dog", False),
        ("\uff44\uff4f\uff47", True),  # full-width letters
        ("re\u0301d", False),
        ("", True),
        ("12:30 🐕", True),
        ("?chat", False),
        ("\ud800", True),
        ("dog " * 25_000, True),
    ],
)
def test_a_text_of_mostly_english_words_is_english(folder: Path, text: str, english: bool) -> None:
    assert (TextRouting(ModelFolder.read(folder)).tower(text) == ENGLISH) == english


def test_a_folder_with_one_text_tower_uses_it_for_every_text(tmp_path: Path) -> None:
    routing = TextRouting(ModelFolder.read(make_model_folder(tmp_path / "m")))
    assert {routing.tower(text) for text in ("a dog", "我的", "")} == {ENGLISH}


def test_a_foreign_text_has_words_that_are_not_english(folder: Path, tmp_path: Path) -> None:
    encoder = Encoder(ModelFolder.read(folder))
    texts = ("Hund", "le chat", "我的", "chat", "chat pain", "a dog", "a red dog on main dgo", "")
    assert [encoder.is_foreign(text) for text in texts] == [True] * 3 + [False] * 5
    assert not Encoder(ModelFolder.read(make_model_folder(tmp_path / "m"))).is_foreign("Hund")


def test_words_are_runs_of_letters() -> None:
    assert words_of("l'Eau_de 3 chats\u2014\ufb01n") == ["l", "eau", "de", "chats", "fin"]


def test_each_text_is_embedded_by_its_tower(folder: Path, tmp_path: Path) -> None:
    def one(seed: int, texts: list[str]) -> np.ndarray:
        return Encoder(
            ModelFolder.read(make_model_folder(tmp_path / "m", seed=seed, context=8))
        ).encode_texts(texts)

    found = Encoder(ModelFolder.read(folder)).encode_texts(["ein Hund", "a dog", "我的 dog", "red", "12"])
    np.testing.assert_allclose(found[[1, 3, 4]], one(0, ["a dog", "red", "12"]), atol=1e-6)
    np.testing.assert_allclose(found[[0, 2]], one(1, ["ein Hund", "我的 dog"]), atol=1e-6)
    assert np.abs(found[[0, 2]] - one(0, ["ein Hund", "我的 dog"])).max() > 0.1


def test_lengths_of_texts_of_both_towers(folder: Path) -> None:
    encoder = Encoder(ModelFolder.read(folder))
    texts = ["dog " * 6, "dog " * 7, "Hund", "Hund " * 7]
    assert encoder.truncated(texts) == (False, True, False, True)
    assert encoder.truncated([]) == ()
    assert encoder.count_tokens(["a dog"]) + encoder.count_tokens(["Hund"]) == encoder.count_tokens(
        ["a dog", "Hund"]
    )


def test_a_tower_is_opened_when_a_text_needs_it(tmp_path: Path) -> None:
    path = add_multilingual_tower(make_model_folder(tmp_path / "m"), ENGLISH_WORDS)
    (path / "multilingual" / "model.onnx").write_bytes(b"no graph")
    encoder = Encoder(ModelFolder.read(path))
    assert encoder.encode_texts(["a dog"]).shape == (1, 32)
    with pytest.raises(ModelError, match=r"multilingual/model\.onnx can't be loaded"):
        encoder.encode_texts(["a dog", "ein Hund"])


def test_an_unreadable_list_of_words_is_named(tmp_path: Path) -> None:
    path = add_multilingual_tower(make_model_folder(tmp_path / "m"), ENGLISH_WORDS)
    (path / "multilingual" / "english.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"multilingual/english\.txt can't be read"):
        Encoder(ModelFolder.read(path)).encode_texts(["a dog"])
