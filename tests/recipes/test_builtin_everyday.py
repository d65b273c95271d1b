"""Everyday photos: a fixed split of every label, captions as people write them, names held out."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.builtin import everyday
from recipes.builtin.errors import RecipeError
from tests.recipes.builtin_data import write_everyday

_NAMES = st.sets(st.text("abcdef", min_size=1, max_size=6), max_size=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_everyday(tmp_path)
    return tmp_path


@given(_NAMES, st.integers(0, 9))
def test_split_of_a_label_has_the_shares_and_does_not_depend_on_order(names: set[str], seed: int) -> None:
    splits = everyday.split_label(names, "tools", seed)
    assert splits == everyday.split_label(sorted(names, reverse=True), "tools", seed)
    counts = Counter(splits.values())
    assert counts["test"] == round(len(names) * 0.2)
    assert counts["dev"] == round(len(names) * 0.1)
    assert set(splits) == names


def test_published_split_stays() -> None:
    # Held-out photos must stay held out: a change of the hash or the seed shows here.
    splits = everyday.split_label([f"{i}.jpg" for i in range(12)], "grocery", 20240)
    assert sorted(name for name in splits if splits[name] == "test") == ["10.jpg", "7.jpg"]


@pytest.mark.parametrize(
    ("label", "captions"),
    [
        ("apple", ("apple", "an apple", "a photo of an apple", "a photo of apple")),
        ("hard hat", ("hard hat", "a hard hat", "a photo of a hard hat", "a photo of hard hat")),
        (
            "painting of an elephant",
            (
                "painting of an elephant",
                "a painting of an elephant",
                "an elephant",
                "elephant",
                "elephant painting",
                "a drawing of an elephant",
            ),
        ),
    ],
)
def test_captions_of_a_label(label: str, captions: tuple[str, ...]) -> None:
    assert everyday.label_captions(label) == captions


def test_captions_of_a_name_keep_its_article_once() -> None:
    assert everyday.name_captions("An abalone") == ("An abalone", "abalone", "a photo of an abalone")
    assert everyday.name_captions("beef curry")[1] == "a photo of beef curry"


def test_all_sets_are_read(folder: Path) -> None:
    photos = everyday.load_everyday(folder, 1)
    counts = Counter(photo.source for photo in photos)
    assert set(counts) == {*everyday.LABELLED, *everyday.NAMED, *everyday.DOCUMENTS}
    assert set(counts.values()) == {10}
    by_label = Counter((p.label, p.split) for p in photos if p.source == "tools")
    assert by_label["pear", "test"] == by_label["red apple", "test"] == 1


def test_held_out_names_are_a_fifth_of_each_set(folder: Path) -> None:
    photos = everyday.load_everyday(folder, 1)
    chosen = everyday.held_out_names(photos, 1)
    assert chosen
    assert chosen <= {"pear", "red apple"}
    assert everyday.held_out_names(reversed(photos), 1) == chosen


def test_chinese_names(folder: Path) -> None:
    names = everyday.chinese_names(folder)
    assert names["everyday/dishes_cn_home/3.jpg"] == "菜3"
    assert len(names) == 20


def test_a_missing_set_is_named(folder: Path) -> None:
    (folder / "everyday" / "tools").rename(folder / "everyday" / "elsewhere")
    with pytest.raises(RecipeError, match=r"no everyday/tools.*--data"):
        everyday.load_everyday(folder, 1)


def test_a_missing_column_is_named(folder: Path) -> None:
    (folder / "everyday" / "tools" / "labels.csv").write_text("file,label\na.jpg,saw\n")
    with pytest.raises(RecipeError, match="no column filepath"):
        everyday.load_everyday(folder, 1)
