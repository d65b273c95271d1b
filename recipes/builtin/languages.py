"""Texts in other languages: captions of training photos, and words and sentences beside their English."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import RecipeError
from .licences import Choice, allowed

PROMISED = ("zh", "ja", "ko", "de", "fr", "es", "pt", "it", "ru", "ar")
"""Languages beside English that the model is made for; `zh` is simplified, `traditional` converts it."""

CAPTIONED = {
    "zh": ("zh", "zh_translated"),
    "de": ("de",),
    "fr": ("fr",),
    "ar": ("ar",),
}
"""Files of captioned_languages/ by language, with which a model is measured."""

LEARNT = CAPTIONED | {"de": ("de", "de_described"), "es": ("es_machine",)}
"""Files to learn from."""

_SAME = {"pt-br": "pt", "zh-hant": "zh-Hant", "nb": "no"}
PAIRS = (
    "emoji_names_cldr",
    "wordnet_concrete_nouns",
    "dictionaries",
    "imagenet_class_names",
    "tatoeba",
    "tuxpaint_sentences",
    "multi30k",
)
"""Files of text/."""

_LONGEST = 160
"""Characters of a sentence; longer ones say little about a photo."""


@dataclass(frozen=True)
class Pair:
    """A text and its English."""

    language: str
    english: str
    translation: str
    source: str


def read_lines(path: Path) -> Iterator[list[str]]:
    """Rows of a gzipped table of tab-separated columns, without its header."""
    if not path.is_file():
        raise RecipeError(f"there is no {path}: give the folder that holds text/ with --data")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        next(file, None)
        for line in file:
            yield line.rstrip("\n").split("\t")


def captions_in(
    data: Path, language: str, files: Mapping[str, Sequence[str]] = CAPTIONED
) -> dict[str, tuple[str, ...]]:
    """Captions of the Flickr8k photos in `language`, by the photo's path."""
    found: dict[str, list[str]] = {}
    for name in files[language]:
        for photo, caption in _caption_rows(data / "captioned_languages" / f"{name}.csv.gz"):
            found.setdefault(f"captioned/{photo}", []).append(caption)
    return {path: tuple(captions) for path, captions in found.items()}


def _caption_rows(path: Path) -> Iterator[tuple[str, str]]:
    import csv

    if not path.is_file():
        raise RecipeError(f"there is no {path}: give the folder that holds captioned_languages/ with --data")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["filepath"], row["caption"].strip()


def key(text: str) -> str:
    """`text` without case, spaces and punctuation, for finding the same sentence in another edition."""
    return re.sub(r"[\W_]+", "", text.lower())


def load_pairs(data: Path, unseen: Iterable[str], choice: Choice = "all") -> list[Pair]:
    """All pairs but those with a text of `unseen` on either side (the captions of held-out photos)."""
    hidden = {key(text) for text in unseen}
    return [
        pair
        for source in PAIRS
        if allowed(source, choice)
        for pair in _pairs_of(data / "text" / f"{source}.tsv.gz", source)
        if key(pair.english) not in hidden and key(pair.translation) not in hidden
    ]


def _pairs_of(path: Path, source: str) -> Iterator[Pair]:
    for row in read_lines(path):
        if len(row) != 3:
            continue
        language, english, translation = row[0], row[1].strip(), row[2].strip()
        if english and translation and max(len(english), len(translation)) <= _LONGEST:
            yield Pair(_SAME.get(language, language), english, translation, source)


def traditional() -> Callable[[str], str]:
    """Converter from simplified to traditional Chinese. Raises RecipeError without the package `opencc`."""
    try:
        from opencc import OpenCC
    except ImportError:
        raise RecipeError("package opencc is missing: pip install opencc==1.4.2") from None
    convert: Callable[[str], str] = OpenCC("s2t").convert
    return convert


def names_in(pairs: Iterable[Pair], languages: Iterable[str]) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Translations of short English names: by language, then by the English in lower case."""
    found: dict[str, dict[str, list[str]]] = {language: {} for language in languages}
    for pair in pairs:
        if pair.language in found and pair.source != "multi30k":
            found[pair.language].setdefault(pair.english.lower(), []).append(pair.translation)
    return {
        language: {english: tuple(dict.fromkeys(names)) for english, names in table.items()}
        for language, table in found.items()
    }
