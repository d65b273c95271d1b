"""Texts in other languages: captions by photo, pairs without held-out captions, licences."""

from pathlib import Path

import pytest

from recipes.builtin import everyday, languages, licences
from recipes.builtin.errors import RecipeError
from tests.recipes.builtin_data import write_captions, write_pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in languages.PAIRS:
        write_pairs(
            tmp_path, name, [("de", f"a dog, {name}.", f"Ein Hund, {name}."), ("pt-br", "cat", "gato")]
        )
    return tmp_path


def test_captions_of_several_files_join(tmp_path: Path) -> None:
    write_captions(tmp_path, "zh", [("a.jpg", "狗"), ("a.jpg", " 两只狗 ")])
    write_captions(tmp_path, "zh_translated", [("a.jpg", "一只狗"), ("b.jpg", '猫, 和 "狗"')])
    found = languages.captions_in(tmp_path, "zh")
    assert found == {"captioned/a.jpg": ("狗", "两只狗", "一只狗"), "captioned/b.jpg": ('猫, 和 "狗"',)}


def test_missing_captions_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"zh\.csv\.gz.*--data"):
        languages.captions_in(tmp_path, "zh")
    with pytest.raises(RecipeError, match=r"emoji_names_cldr\.tsv\.gz.*--data"):
        languages.load_pairs(tmp_path, ())


def test_pairs_name_their_source_and_one_code_a_language(folder: Path) -> None:
    pairs = languages.load_pairs(folder, ())
    assert {pair.source for pair in pairs} == set(languages.PAIRS)
    assert {pair.language for pair in pairs} == {"de", "pt"}


@pytest.mark.parametrize("seen", ["A dog multi30k", "ein hund; MULTI30K"])
def test_captions_of_held_out_photos_are_left_out_on_either_side(folder: Path, seen: str) -> None:
    left = languages.load_pairs(folder, [seen])
    assert len(left) == len(languages.load_pairs(folder, ())) - 1
    assert not any(pair.source == "multi30k" and pair.language == "de" for pair in left)


def test_free_pairs_are_of_free_sources(folder: Path) -> None:
    free = {pair.source for pair in languages.load_pairs(folder, (), "free")}
    assert free == {"emoji_names_cldr", "tatoeba"}


def test_long_sentences_and_broken_rows_are_left_out(tmp_path: Path) -> None:
    for name in languages.PAIRS:
        write_pairs(tmp_path, name, [("de", "word " * 40, "Wort"), ("de", "", "Wort"), ("de", "ok", "gut")])
    assert [pair.english for pair in languages.load_pairs(tmp_path, ())] == ["ok"] * len(languages.PAIRS)


def test_names_in_languages_keep_their_order(folder: Path) -> None:
    write_pairs(folder, "tatoeba", [("de", "Cat", "Katze"), ("de", "cat", "Kater"), ("de", "cat", "Katze")])
    names = languages.names_in(languages.load_pairs(folder, ()), ["de", "pt"])
    assert names["de"]["cat"] == ("Katze", "Kater")
    assert names["pt"]["cat"] == ("gato",)


def test_traditional_chinese() -> None:
    pytest.importorskip("opencc")
    assert languages.traditional()("我的汽车") == "我的汽車"


def test_every_set_has_a_licence() -> None:
    for source in (*everyday.LABELLED, *everyday.NAMED, *everyday.DOCUMENTS, *languages.PAIRS):
        assert licences.allowed(source, "all")
        assert licences.allowed(source, "free") == (licences.LICENCES[source] in licences.FREE)


def test_an_unknown_set_is_no_free_set() -> None:
    with pytest.raises(KeyError):
        licences.allowed("something new", "free")
