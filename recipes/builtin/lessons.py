"""What the multilingual tower learns: which texts, in which languages, beside which English and which photos.

A translation is taught the English tower's embedding of its English; captions in any language also find their
photo. Texts are chosen by a hash, so that the choice does not depend on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .data import SEED, Photo, load_sentences
from .everyday import LABELLED, NAMED, chinese_names
from .languages import LEARNT, PROMISED, Pair, captions_in, key, load_pairs, names_in, traditional
from .licences import Choice, allowed

PHOTO_OF: Mapping[str, str] = {
    "en": "a photo of {}",
    "zh": "一张{}的照片",
    "zh-Hant": "一張{}的照片",
    "ja": "{}の写真",
    "ko": "{} 사진",
    "de": "ein Foto von {}",
    "fr": "une photo de {}",
    "es": "una foto de {}",
    "pt": "uma foto de {}",
    "it": "una foto di {}",
    "ru": "фото {}",
    "ar": "صورة {}",
}
"""How people ask for a photo of a thing."""

TAUGHT: Mapping[str, int] = {
    "dictionaries": 1300,
    "emoji_names_cldr": 900,
    "imagenet_class_names": 1500,
    "multi30k": 2500,
    "tatoeba": 500,
    "tuxpaint_sentences": 300,
    "wordnet_concrete_nouns": 3500,
}
"""Pairs of each set that are taught a language; names of training photos come on top."""

CAPTIONS: Mapping[str, int] = {"zh": 3, "zh-Hant": 1, "ar": 2, "de": 2, "fr": 1, "es": 1}
"""Captions a photo that are learnt in each language."""

ENGLISH: Mapping[str, int] = {"flickr": 4, "imagenet": 4, "products": 2}
"""English captions a photo that are learnt; of other sets, all."""

_SENTENCES = 3000
_NAMES = ("wordnet_concrete_nouns", "imagenet_class_names", "emoji_names_cldr", "dictionaries")
"""Sets of names of things; all but the dictionaries' are also asked for as photos, and mixed into other
languages.
"""

_PROMPTED_EVERY, _MIXED_EVERY = 2, 8


@dataclass(frozen=True)
class Texts:
    """Chosen texts; the other fields hold their numbers."""

    texts: list[str]
    """All texts, each once; the English ones come first."""
    english: int
    """Number of English texts, those that the English tower embeds."""
    pairs: list[tuple[str, int, int]]
    """Language, text and its English; English texts are pairs with themselves."""
    captions: list[list[tuple[str, int]]]
    """Language and text of the captions of each photo; none of photos that are not for training."""


def choose_texts(data: Path, photos: Sequence[Photo], choice: Choice) -> Texts:
    """Choose what is taught. Raises RecipeError without the data or the package `opencc`."""
    convert = traditional()
    pairs = load_pairs(data, unseen_texts(data, photos), choice)
    captions = _captions(data, photos, pairs, choice)
    labels = {photo.label for photo in photos if photo.split == "train"}
    taught = list(_taught(pairs, labels))
    taught += [
        Pair("zh-Hant", pair.english, convert(pair.translation), pair.source)
        for pair in taught
        if pair.language == "zh" and _draw(pair.translation) < 0.6
    ]
    sentences = (
        sorted(load_sentences(data), key=_draw)[:_SENTENCES] if allowed("coco_captions", choice) else []
    )
    english = dict.fromkeys(pair.english for pair in taught)
    english |= dict.fromkeys(sentences)
    english |= dict.fromkeys(text for found in captions for language, text in found if language == "en")
    every = english | dict.fromkeys(pair.translation for pair in taught)
    every |= dict.fromkeys(text for found in captions for _, text in found)
    row = {text: i for i, text in enumerate(every)}
    return Texts(
        list(every),
        len(english),
        [("en", row[text], row[text]) for text in english]
        + [(pair.language, row[pair.translation], row[pair.english]) for pair in taught],
        [[(language, row[text]) for language, text in found] for found in captions],
    )


def unseen_texts(data: Path, photos: Iterable[Photo]) -> list[str]:
    """Every caption, in any language, of a photo that no step may see."""
    held = [photo for photo in photos if photo.split != "train"]
    paths = {photo.path for photo in held}
    found = [caption for photo in held if photo.source in ("flickr", "coco") for caption in photo.captions]
    for language in LEARNT:
        for path, captions in captions_in(data, language, LEARNT).items():
            if path in paths:
                found += captions
    return found


def _draw(text: str) -> float:
    """A number of 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(f"{SEED}/{text}".encode()).digest()[:4]) / 2**32


def _taught(pairs: Iterable[Pair], labels: set[str]) -> Iterator[Pair]:
    """The pairs to teach, and some of their names as people ask for photos."""
    sets: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        if pair.language in PROMISED and pair.translation.lower() != pair.english.lower():
            sets.setdefault((pair.language, pair.source), []).append(pair)
    for (language, source), found in sets.items():
        ordered = sorted(
            found, key=lambda pair: (pair.english.lower() not in labels, _draw(pair.translation))
        )
        named = sum(pair.english.lower() in labels for pair in found)
        for number, pair in enumerate(ordered[: named + TAUGHT[source]]):
            yield pair
            if source in _NAMES[:3] and number % _PROMPTED_EVERY == 0:
                word = pair.english if number % _MIXED_EVERY == 0 else pair.translation
                asked = PHOTO_OF[language].format(word)
                yield Pair(language, PHOTO_OF["en"].format(pair.english), asked, source)


def _captions(
    data: Path, photos: Sequence[Photo], pairs: Iterable[Pair], choice: Choice
) -> list[list[tuple[str, str]]]:
    """Captions of each photo with their languages; labels and names in every language that has them."""
    convert = traditional()
    dishes = chinese_names(data)
    tables = {
        language: captions_in(data, language, LEARNT) if allowed("captioned_languages", choice) else {}
        for language in LEARNT
    }
    held = {key(text) for text in unseen_texts(data, photos)}
    names = names_in((pair for pair in pairs if pair.source in _NAMES), PROMISED)
    result = []
    for photo in photos:
        found: list[tuple[str, str]] = []
        if photo.split == "train":
            found += [("en", text) for text in photo.captions[: ENGLISH.get(photo.source)]]
            written = {language: list(table.get(photo.path, ())) for language, table in tables.items()}
            written["zh"] += [dishes[photo.path]] if photo.path in dishes else []
            written["zh-Hant"] = [convert(text) for text in reversed(written["zh"])]
            for language, count in CAPTIONS.items():
                texts = [text for text in written[language] if key(text) not in held]
                found += [(language, text) for text in texts[:count]]
            if photo.source in (*LABELLED, *NAMED, "clothing", "scenes"):
                for language in PROMISED:
                    known = [
                        text for text in names[language].get(photo.label, ()) if text.lower() != photo.label
                    ]
                    found += [(language, text) for text in known[:1]]
                    found += [("zh-Hant", convert(text)) for text in known[:1] if language == "zh"]
        result.append(found)
    return result
