"""The list of English words by which a text's tower is chosen (`clipsight.models.text_routing`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from clipsight.models.text_routing import COMMONER_ELSEWHERE, words_of

from .data import Photo, class_names, load_sentences
from .languages import LEARNT, captions_in, load_pairs
from .lessons import unseen_texts
from .licences import Choice, allowed
from .texts import vocabulary_words
from .words import class_words

_LATIN = ("de", "fr", "es", "pt", "it")
"""Languages whose words may look English."""

_COMMONER, _FOREIGN = 4.0, 40.0
"""How much more often another language must use a word before it is marked as commoner there, or left out."""

_TELLING = 5
"""Uses of a word in another language before its share there tells anything."""

_NAME = 5
"""Uses that a name of a class or a label counts for: it is spelt right."""

_OFTEN = 2
"""Uses of a word that the English tower's vocabulary lacks before it is listed: typing errors are rare."""


def english_words(data: Path, photos: Iterable[Photo], choice: Choice) -> list[str]:
    """The lines of english.txt, sorted: words that English texts use, with a mark before those that another
    language uses more often, and words of the English tower's vocabulary that no other language uses.
    """
    photos = list(photos)
    pairs = load_pairs(data, unseen_texts(data, photos), choice)
    english = Counter(word for text in _english_texts(data, photos, choice) for word in words_of(text))
    english.update(word for pair in pairs for word in words_of(pair.english))
    others = {language: Counter[str]() for language in _LATIN}
    for pair in pairs:
        if pair.language in others:
            others[pair.language].update(words_of(pair.translation))
    paths = {photo.path for photo in photos if photo.split == "train"}
    for language in others.keys() & LEARNT.keys():
        for path, captions in captions_in(data, language, LEARNT).items():
            if path in paths:
                others[language].update(word for text in captions for word in words_of(text))
    elsewhere = frozenset(word for counter in others.values() for word in counter)
    often = _highest_shares(others.values())
    whole = frozenset(vocabulary_words())
    lines = [word for word in whole if word not in english and word not in elsewhere]
    for word, count in english.items():
        ratio = often.get(word, 0.0) * english.total() / count
        if ratio <= _FOREIGN and (count >= _OFTEN or word in whole):
            lines.append(word if ratio <= _COMMONER else COMMONER_ELSEWHERE + word)
    return sorted(lines)


def _english_texts(data: Path, photos: Iterable[Photo], choice: Choice) -> Iterable[str]:
    names: set[str] = set()
    for photo in photos:
        if photo.split == "train":
            yield from photo.captions
            names.add(photo.label)
    for i, name in enumerate(class_names(data)):
        names.update(class_words(i, name))
    for name in names:  # the label of a photo that has captions is its file's name
        yield from [name] * _NAME
    if allowed("coco_captions", choice):
        yield from load_sentences(data)


def _highest_shares(counts: Iterable[Counter[str]]) -> dict[str, float]:
    """Share of each word in the language that uses it most, if often enough to tell."""
    shares: dict[str, float] = {}
    for counter in counts:
        total = max(1, counter.total())
        for word, count in counter.items():
            if count >= _TELLING:
                shares[word] = max(shares.get(word, 0.0), count / total)
    return shares
