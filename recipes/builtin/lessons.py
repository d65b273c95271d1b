"""The lessons of the multilingual tower, from the data folders and an English teacher.

English texts are asked of the teacher once; every translation shares the row of its English.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .data import Photo, load_sentences
from .distil import Lessons, Tokens
from .everyday import chinese_names
from .languages import CAPTIONED, PROMISED, Pair, captions_in, load_pairs, traditional
from .licences import Choice, allowed

Teacher = Callable[[Sequence[str]], NDArray[np.float32]]
"""English texts -> unit float32[n,width]."""

_LONGEST = 64
"""Tokens of a text in training; longer ones are cut."""

_ENGLISH, _CHINESE, _OTHER = 0.25, 0.15, 0.15
"""Shares of English, of Chinese, and of all languages that are not promised; the others share the rest."""

PHOTO_OF: Mapping[str, str] = {
    "en": "a photo of {}",
    "zh": "一张{}的照片",
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

_WORDS = ("wordnet_concrete_nouns", "imagenet_class_names", "emoji_names_cldr")
"""Sources of names of things, which are also asked for as photos, and mixed into other languages."""

_MIXED_EVERY = 4


def unseen_texts(data: Path, photos: Iterable[Photo]) -> list[str]:
    """Every caption, in any language, of a photo that no step may see."""
    held = [photo for photo in photos if photo.split != "train"]
    paths = {photo.path for photo in held}
    found = [caption for photo in held if photo.source in ("flickr", "coco") for caption in photo.captions]
    for language in CAPTIONED:
        for path, captions in captions_in(data, language).items():
            if path in paths:
                found += captions
    return found


def shares_of(languages: Iterable[str]) -> dict[str, float]:
    """Share of each language among the translations of a step."""
    named = set(languages)
    promised = sorted(named & {*PROMISED, "zh-Hant"} - {"zh", "zh-Hant"})
    others = sorted(named - {*promised, "en", "zh", "zh-Hant"})
    shares = {"en": _ENGLISH, "zh": _CHINESE * 0.6, "zh-Hant": _CHINESE * 0.4}
    rest = 1 - _ENGLISH - _CHINESE - _OTHER
    shares |= {language: rest / len(promised) for language in promised}
    shares |= {language: _OTHER / len(others) for language in others}
    return {language: share for language, share in shares.items() if language in named}


def photo_captions(data: Path, photos: Sequence[Photo], choice: Choice) -> list[dict[str, tuple[str, ...]]]:
    """Captions of each photo by language; Chinese ones also in traditional characters."""
    result: list[dict[str, tuple[str, ...]]] = [{"en": photo.captions} for photo in photos]
    tables = {"zh": {path: (name,) for path, name in chinese_names(data).items()}}
    if allowed("captioned_languages", choice):
        for language in CAPTIONED:
            tables[language] = tables.get(language, {}) | captions_in(data, language)
    convert = traditional()
    for photo, captions in zip(photos, result, strict=True):
        for language, table in tables.items():
            if photo.path in table:
                captions[language] = table[photo.path]
        if "zh" in captions:
            captions["zh-Hant"] = tuple(map(convert, captions["zh"]))
    return result


def taught_pairs(data: Path, photos: Sequence[Photo], choice: Choice) -> list[Pair]:
    """All pairs to learn: translations, English, photo prompts, and English words in other languages."""
    pairs = load_pairs(data, unseen_texts(data, photos), choice)
    convert = traditional()
    english = dict.fromkeys(pair.english for pair in pairs)
    train = [photo for photo in photos if photo.split == "train" and allowed(photo.source, choice)]
    english |= dict.fromkeys(caption for photo in train for caption in photo.captions)
    english |= dict.fromkeys(load_sentences(data))
    result = [Pair("en", text, text, "english") for text in english]
    for number, pair in enumerate(pairs):
        result.append(pair)
        if pair.language == "zh":
            result.append(Pair("zh-Hant", pair.english, convert(pair.translation), pair.source))
        if pair.source in _WORDS and pair.language in PHOTO_OF:
            result += _asked(pair, number)
    return result


def _asked(pair: Pair, number: int) -> list[Pair]:
    """A name as people ask for its photo, and now and then with the English name in the other language."""
    asked = PHOTO_OF["en"].format(pair.english)
    prompt = PHOTO_OF[pair.language]
    found = [Pair(pair.language, asked, prompt.format(pair.translation), pair.source)]
    if number % _MIXED_EVERY == 0:
        found.append(Pair(pair.language, asked, prompt.format(pair.english), pair.source))
    return found


def build_lessons(
    pairs: Sequence[Pair],
    captions: Sequence[Mapping[str, Sequence[str]]],
    views: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int64],
    tokenizer: Tokenizer,
    teacher: Teacher,
) -> Lessons:
    """Tokenise everything and ask the teacher once for every English text."""
    english = list(dict.fromkeys(pair.english for pair in pairs))
    row = {text: i for i, text in enumerate(english)}
    tokenizer.enable_truncation(_LONGEST)
    texts: dict[str, list[str]] = {}
    targets: dict[str, list[int]] = {}
    for pair in pairs:
        texts.setdefault(pair.language, []).append(pair.translation)
        targets.setdefault(pair.language, []).append(row[pair.english])
    return Lessons(
        {language: tokens_of(tokenizer, found) for language, found in texts.items()},
        {language: np.array(rows) for language, rows in targets.items()},
        teacher(english).astype(np.float16),
        shares_of(texts),
        [{name: tokens_of(tokenizer, found) for name, found in each.items()} for each in captions],
        views,
        labels,
    )


def tokens_of(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Tokens]:
    """Token ids of each text, with the special tokens, not padded."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
