"""The rows of the table, with an encoder that knows every photo by its label."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from recipes.builtin import everyday_figures as rows
from recipes.builtin import table
from recipes.builtin.data import Photo
from recipes.builtin.evaluate import Bench
from recipes.builtin.everyday import LABELLED, NAMED
from recipes.builtin.metrics import Vectors
from tests.recipes.builtin_data import write_captions, write_everyday, write_pairs
from tests.support.arrays import unit


def _vectors(texts: Sequence[str]) -> Vectors:
    """Unit vectors that are all but orthogonal for different texts."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
    found = np.stack([np.random.default_rng(seed).normal(size=256) for seed in seeds])
    return unit(found).astype(np.float32)


class _Encoder:
    dim, workers = 256, 1

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return _vectors(texts)


class _Bench(Bench):
    """Photos lie where the text in `seen` lies, by default their label."""

    def __init__(self, data: Path, photos: Sequence[Photo], seen: dict[str, str] | None = None) -> None:
        super().__init__(cast(Any, _Encoder()), data, photos)
        self._texts = {photo.path: photo.label for photo in photos} | (seen or {})

    def embed(self, names: Sequence[str], change: object = None) -> Vectors:
        return _vectors([self._texts[name] for name in names])


def _labelled() -> list[Photo]:
    return [
        Photo(f"{source}/{i}", source, "test", (label,), label)
        for source in LABELLED
        for i, label in enumerate(("pear", "pear", "plum", "fig"))
    ]


def test_a_perfect_model_has_full_marks(tmp_path: Path) -> None:
    found = rows.label_figures(_Bench(tmp_path, _labelled()), "test")
    assert set(found) == set(LABELLED)
    assert rows.mean_of(found, "mean_average_precision") == 100.0
    assert rows.mean_of(found, "zero_shot_top_1") == 100.0


def test_one_photo_taken_for_another_kind_costs_its_label(tmp_path: Path) -> None:
    seen = {f"{source}/3": "plum" for source in LABELLED}
    found = rows.label_figures(_Bench(tmp_path, _labelled(), seen), "test")
    assert rows.mean_of(found, "zero_shot_top_1") == 75.0
    assert rows.mean_of(found, "mean_average_precision") < 100.0
    only = rows.label_figures(_Bench(tmp_path, _labelled(), seen), "test", {"pear"})
    assert rows.mean_of(only, "mean_average_precision") == 100.0


def test_names_find_their_photos_in_english_and_chinese(tmp_path: Path) -> None:
    write_everyday(tmp_path)
    photos = [
        Photo(f"everyday/{source}/{i}.jpg", source, "test", (f"{source} {i}",), f"{source} {i}")
        for source in NAMED
        for i in range(10)
    ]
    english = rows.name_figures(_Bench(tmp_path, photos), "test")
    assert english["names_recall_at_10"] == 100.0
    assert english["photos"] == 10 * len(NAMED)
    seen = {photo.path: f"菜{photo.path[-5]}" for photo in photos if photo.source.startswith("dishes")}
    chinese = rows.name_figures(_Bench(tmp_path, photos, seen), "test")
    assert chinese["chinese_dishes_recall_at_10"] == 100.0


def test_photos_without_captions_in_a_language_stay_among_those_to_find(tmp_path: Path) -> None:
    photos = [Photo(f"captioned/{i}.jpg", "flickr", "test", ("x",), f"{i}") for i in range(4)]
    write_captions(tmp_path, "de", [("0.jpg", "hund"), ("1.jpg", "katze")])
    # Photo 2, which has no German caption, looks like a dog too, and comes after photo 0 for equal scores.
    seen = {"captioned/0.jpg": "hund", "captioned/2.jpg": "hund", "captioned/1.jpg": "katze"}
    assert rows.language_recall(_Bench(tmp_path, photos, seen), "de", "test") == [100.0] * 3
    seen["captioned/0.jpg"] = "auto"
    assert rows.language_recall(_Bench(tmp_path, photos, seen), "de", "test")[0] == 50.0


def test_albums_ask_for_what_two_captions_name(tmp_path: Path) -> None:
    words = ["dog", "pizza", "keyboard"]
    photos = [
        Photo(
            f"{i}",
            "coco",
            "test",
            (f"a {words[i]}", f"two {words[i]}s") if i < 3 else ("a cat", "nothing"),
            f"{i}",
        )
        for i in range(rows.ALBUM)
    ]
    english = rows.album_figures(_Bench(tmp_path, photos, {str(i): w for i, w in enumerate(words)}), "test")
    assert (english["queries"], english["english_first"]) == (3, 100.0)
    seen = {str(i): rows.ALBUM_WORDS[word] for i, word in enumerate(words)}
    assert rows.album_figures(_Bench(tmp_path, photos, seen), "test")["chinese_first"] == 100.0


def test_single_words_are_asked_in_each_language_that_has_them(tmp_path: Path) -> None:
    for name in ("emoji_names_cldr", "dictionaries", "imagenet_class_names", "tatoeba"):
        write_pairs(tmp_path, name, [])
    write_pairs(tmp_path, "wordnet_concrete_nouns", [("de", "plum", "Pflaume"), ("ja", "pear", "梨")])
    write_pairs(tmp_path, "tuxpaint_sentences", [("de", "A plum.", "Eine Pflaume.")])
    write_pairs(tmp_path, "multi30k", [])
    seen = {photo.path: "Pflaume" for photo in _labelled() if photo.label == "plum"}
    found = rows.word_figures(_Bench(tmp_path, _labelled(), seen), "test")
    assert found["en"]["words"] == 3
    assert found["de"] == {"words": 1, "in_first_five": 100.0}
    assert found["zh"] == {"words": 0}


def test_a_row_of_the_table() -> None:
    assert table.line("recall", [1.0, 2.5]) == "| recall | 1.0 / 2.5 |"
    assert table.line("names", {"en": {"words": 3}}) == "| names | en words 3 |"


def test_no_data_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Path(__file__).parents[2] / "src" / "clipsight" / "models" / "builtin"
    assert table.main(["--data", str(tmp_path / "nowhere"), "--model", str(model)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
