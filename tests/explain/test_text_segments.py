"""Words as a person sees them, in any script, and texts without some of them."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipsight.explain.text_segments import keep, one_line, split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bee", ["bee"]),
        ("a red flower, under the blue sky", ["a", "red", "flower", "under", "the", "blue", "sky"]),
        ("don't wear a t-shirt!", ["don't", "wear", "a", "t-shirt"]),
        ('a "quoted" (word) ... here', ["a", "quoted", "word", "here"]),
        ("¿dónde está?", ["dónde", "está"]),
        ("C++ and c#", ["C++", "and", "c"]),
        ("café über", ["café", "über"]),
        ("两只狗在海滩上", ["两", "只", "狗", "在", "海", "滩", "上"]),
        ("红色的 bike 自行车", ["红", "色", "的", "bike", "自", "行", "车"]),
        ("海辺を走っている犬とネコ", ["海", "辺を", "走っている", "犬と", "ネコ"]),
        ("강아지 두 마리", ["강아지", "두", "마리"]),
        ("две собаки", ["две", "собаки"]),
        ("كلبان على الشاطئ", ["كلبان", "على", "الشاطئ"]),
        ("ทะเลสวย มาก", ["ทะเลสวย", "มาก"]),
        ("दो कुत्ते", ["दो", "कुत्ते"]),
        ("🐝 on a 👩‍👩‍👧‍👦🇫🇷flower ❤️👍🏽", ["🐝", "on", "a", "👩‍👩‍👧‍👦", "🇫🇷", "flower", "❤️", "👍🏽"]),
        ("?!", ["?!"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in split(text)] == words


def test_a_word_includes_its_punctuation() -> None:
    text = 'a "red" bike, parked'
    words = split(text)
    assert [text[word.start : word.end] for word in words] == ["a", '"red"', "bike,", "parked"]
    assert keep(text, words, (True, False, True, True)) == "a bike, parked"
    assert keep(text, words, (True, False, True, True), "thing") == "a thing bike, parked"


def test_characters_are_left_out_without_a_space() -> None:
    text = "两只狗"
    assert keep(text, split(text), (True, False, True)) == "两狗"


@given(st.text())
@example("( ) a ...")
@example("a\u200d\u3099")
def test_every_character_belongs_to_one_word(text: str) -> None:
    line = one_line(text)
    words = split(line)
    assert "".join(line[word.start : word.end] for word in words).replace(" ", "") == line.replace(" ", "")
    assert all(one.end <= other.start for one, other in pairwise(words))
    assert keep(line, words, [True] * len(words)) == line
    assert keep(line, words, [False] * len(words)) == ""
    assert all(word.text for word in words)
