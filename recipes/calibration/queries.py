"""Queries as people type them, and which photos fit each: bare nouns, "a X", two words, phrases, captions.

A photo with captions fits if one of them names the thing (in the plural or by a synonym of things.csv); a
photo of a set with labels if it has the label. Where nobody can tell, as whether a photo of a banjo shows
a window, the pair counts for nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recipes.builtin.data import SEED, load_sentences
from recipes.builtin.words import article

from .data import LABELLED_SETS, Photos, bucket, words_of

Truth = npt.NDArray[np.int8]
"""Of each photo: FITS, FITS_NOT or UNKNOWN."""

FITS, FITS_NOT, UNKNOWN = 1, 0, -1

FORMS = ("noun", "a noun", "two words", "phrase", "caption")

_OBJECTS = ("caltech101", "grocery", "instruments", "food10", "tools", "trash")
"""Sets that show one thing a photo, so that other things are surely absent."""

_FAR = ("grocery", "food10", "tools")
"""Sets where things of things.csv with `far` are surely absent."""

_ADJECTIVES = (
    "red", "blue", "green", "black", "white", "brown", "yellow", "orange", "pink", "purple", "grey",
    "young", "little", "small", "big", "large", "old", "blond", "muddy", "wet", "snowy", "grassy",
    "rocky", "sandy", "wooden", "colorful",
)  # fmt: skip
_COLOURS = _ADJECTIVES[:6]
_ALIKE = {
    "young": ("young", "little", "small"),
    "little": ("little", "small", "young"),
    "small": ("small", "little", "young"),
    "big": ("big", "large"),
    "large": ("large", "big"),
    "old": ("old", "older", "elderly"),
    "brown": ("brown", "tan", "golden"),
    "grey": ("grey", "gray"),
    "blond": ("blond", "blonde"),
    "colorful": ("colorful", "colourful", "multicolored"),
    "snowy": ("snowy", "snow", "snowcovered"),
    "grassy": ("grassy", "grass"),
    "running": ("racing", "chasing"),
    "jumping": ("leaping", "leaps", "midair"),
}
"""Words that captions use for others."""

_VERBS = (
    "running", "jumping", "sitting", "standing", "walking", "playing", "swimming", "climbing",
    "riding", "sleeping", "smiling", "eating", "holding",
)  # fmt: skip
_PLACES = {
    "in the snow": "snow",
    "in the water": "water",
    "on the beach": "beach",
    "in the grass": "grass",
    "on the street": "street",
    "in a field": "field",
    "in a pool": "pool",
    "near a tree": "tree",
    "on a bench": "bench",
    "on a bike": "bike",
    "on a rock": "rock",
    "with a ball": "ball",
    "with a hat": "hat",
}
_SUBJECTS = ("dog", "man", "woman", "boy", "girl", "child", "people", "baby", "horse", "cat")
_PAIRS = {"dogs": "dog", "men": "man", "women": "woman", "boys": "boy", "girls": "girl", "children": "child"}
_FEW = 4
"""Photos whose captions have both words of a pair, for the pair to be one that people would say."""

_LEFT_OUT = ("giraffe", "zebra", "pizza", "toilet", "refrigerator", "vase", "donut", "oven", "broccoli")
_CAPTIONS, _STRANGE_CAPTIONS = 600, 300
_OVERLAP = 0.5
"""A caption's share of things that a photo's captions name too, from which it may fit as well."""


@dataclass(frozen=True)
class Thing:
    """A thing of things.csv: the words that name it in a caption begin with its own."""

    name: str
    words: tuple[str, ...]
    countable: bool
    shown: bool
    """True for things that captions name; false for things rarely seen among people, dogs and sport."""
    subject: bool
    """True for things that photos are about, as labels are."""
    far: bool
    """True for things that no photo of food or tools shows."""


@dataclass(frozen=True, eq=False)
class Query:
    """A text, its form, its language, and the thing it asks for."""

    text: str
    form: str
    thing: str
    """Queries of one thing are fitted, or measured, together."""
    truth: Truth
    language: str = "en"


def plural(noun: str) -> str:
    """The regular English plural."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    return noun[:-2] + "ves" if noun.endswith("fe") else noun + "s"


def load_things() -> list[Thing]:
    """The things of things.csv."""
    with Path(__file__).with_name("things.csv").open(newline="", encoding="utf-8") as file:
        return [
            Thing(
                row["thing"],
                tuple(dict.fromkeys((row["thing"], plural(row["thing"]), *row["also"].split()))),
                row["noun"] == "count",
                row["kind"] != "absent",
                row["kind"] == "subject",
                row["far"] == "far",
            )
            for row in csv.DictReader(file)
        ]


def english(photos: Photos, data: Path) -> list[Query]:
    """English queries of all forms about the photos. Raises RecipeError for missing data."""
    things = load_things()
    return [
        *_nouns(things, photos),
        *_labels(photos),
        *_pairs(things, photos),
        *_phrases(things, photos),
        *_captions(things, photos),
        *_strange_captions(photos, data),
    ]


def translated(
    queries: Sequence[Query],
    language: str,
    names: Mapping[str, Sequence[str]],
    captions: Mapping[str, Sequence[str]],
    photos: Photos,
) -> list[Query]:
    """The nouns and captions of `queries` in another language.

    `names` are translations by the English name, `captions` those of photos by path.
    """
    nouns = [
        Query(names[query.text][0], query.form, query.thing, query.truth, language)
        for query in queries
        if query.form == "noun" and names.get(query.text)
    ]
    paths = [photo.path for photo in photos.photos]
    found = []
    for query in queries:
        if query.form == "caption" and (query.truth == FITS).any():
            own = captions.get(paths[int((query.truth == FITS).argmax())], ())
            found += [Query(text, query.form, query.thing, query.truth, language) for text in own[:1]]
    return nouns + found


def _as_truth(photos: Photos, named: npt.NDArray[np.bool_]) -> Truth:
    return np.where(photos.captioned, named.astype(np.int8), UNKNOWN).astype(np.int8)


def _nouns(things: Sequence[Thing], photos: Photos) -> Iterator[Query]:
    label_words = {source: _label_words(photos, source) for source in _OBJECTS}
    for thing in things:
        truth = _as_truth(photos, photos.mention(thing.words))
        if not thing.shown:
            for source, words in label_words.items():
                if not words & _both_numbers(thing.name):
                    truth[photos.sources == source] = FITS_NOT
        if thing.far:
            truth[np.isin(photos.sources, _FAR)] = FITS_NOT
        yield Query(thing.name, "noun", thing.name, truth)
        if thing.countable:
            yield Query(article(thing.name), "a noun", thing.name, truth)
            if " " not in thing.name and bucket(thing.name, 3) == 0:
                yield Query(plural(thing.name), "noun", thing.name, truth)
        if not thing.shown:
            for colour in _COLOURS:
                if bucket(colour + thing.name, 8) == 0:
                    yield Query(f"{colour} {thing.name}", "two words", thing.name, truth)


def _labels(photos: Photos) -> Iterator[Query]:
    others = {source: _label_words(photos, source) for source in _OBJECTS}
    for source in LABELLED_SETS:
        own = photos.sources == source
        for label in sorted(set(photos.labels[own].tolist())):
            words = _both_numbers(label)
            truth = np.full(len(photos.photos), UNKNOWN, np.int8)
            for row in np.flatnonzero(own):
                other = str(photos.labels[row])
                alike = not source.startswith("drawn") and bool(words & _both_numbers(other))
                truth[row] = FITS if other == label else UNKNOWN if alike else FITS_NOT
            if source in _OBJECTS:
                named = photos.mention([word for word in words if len(word) > 2])
                truth[photos.captioned & ~named] = FITS_NOT
            for far in _OBJECTS if source in _OBJECTS else ("grocery", "food10", "tools", "trash"):
                if far != source and not others[far] & words:
                    truth[photos.sources == far] = FITS_NOT
            yield Query(label, "noun", f"label {label}", truth)
            yield Query(article(label), "a noun", f"label {label}", truth)


def _pairs(things: Sequence[Thing], photos: Photos) -> Iterator[Query]:
    """An adjective, a number or a verb with a noun, as captions combine them."""
    for thing in things:
        if thing.shown and " " not in thing.name:
            for adjective in _ADJECTIVES:
                if photos.mention([f"{adjective} {thing.name}"]).sum() >= _FEW:
                    named = photos.mention(_ALIKE.get(adjective, (adjective,)), thing.words)
                    yield Query(
                        f"{adjective} {thing.name}", "two words", thing.name, _as_truth(photos, named)
                    )
    of = {thing.name: thing for thing in things}
    for noun, thing_name in _PAIRS.items():
        named = photos.mention([f"two {word}" for word in of[thing_name].words])
        yield Query(f"two {noun}", "two words", thing_name, _as_truth(photos, named))
    for subject in _SUBJECTS:
        for verb in _VERBS:
            named = photos.mention(of[subject].words, (*_forms_of(verb), *_ALIKE.get(verb, ())))
            if named.sum() >= _FEW:
                yield Query(f"{subject} {verb}", "two words", subject, _as_truth(photos, named))


def _phrases(things: Sequence[Thing], photos: Photos) -> Iterator[Query]:
    of = {thing.name: thing for thing in things}
    for subject in _SUBJECTS:
        for words, place in _PLACES.items():
            named = photos.mention(of[subject].words, of[place].words)
            if named.sum() >= _FEW:
                start = article(subject) if of[subject].countable else subject
                text = f"{start} {words}"
                yield Query(text, "phrase", f"{subject} {place}", _as_truth(photos, named))


def _captions(things: Sequence[Thing], photos: Photos) -> Iterator[Query]:
    """A caption each of some photos: others fit if their captions name few of its things."""
    random = np.random.default_rng(SEED)
    shown = [thing for thing in things if thing.shown]
    named = np.stack([photos.mention(thing.words) for thing in shown], axis=1)
    rows = np.flatnonzero(photos.captioned)
    for row in random.permutation(rows)[:_CAPTIONS]:
        captions = photos.photos[row].captions
        caption = captions[random.integers(len(captions))]
        words = set(words_of(caption))
        asked = np.array([bool(words & set(thing.words)) for thing in shown])
        share = (named & asked).sum(axis=1) / max(1, asked.sum())
        truth = np.where(photos.captioned & (share < _OVERLAP), FITS_NOT, UNKNOWN).astype(np.int8)
        truth[row] = FITS
        yield Query(caption, "caption", f"caption {photos.photos[row].path}", truth)


def _strange_captions(photos: Photos, data: Path) -> Iterator[Query]:
    """COCO's sentences about things that few photos show."""
    random = np.random.default_rng(SEED)
    lines = load_sentences(data)
    left = {thing: _STRANGE_CAPTIONS // len(_LEFT_OUT) for thing in _LEFT_OUT}
    for index in random.permutation(len(lines)):
        words = set(words_of(lines[index]))
        for thing in _LEFT_OUT:
            if left[thing] and words & {thing, plural(thing)}:
                left[thing] -= 1
                named = photos.mention([thing, plural(thing)])
                truth = _as_truth(photos, named)
                truth[truth == FITS] = UNKNOWN
                yield Query(lines[index], "caption", thing, truth)
                break


def _label_words(photos: Photos, source: str) -> set[str]:
    labels = set(photos.labels[photos.sources == source].tolist())
    return {word for label in labels for word in _both_numbers(label)}


def _both_numbers(text: str) -> set[str]:
    """Words of a text, and their plurals."""
    words = set(words_of(text))
    return words | {plural(word) for word in words}


def _forms_of(verb: str) -> tuple[str, ...]:
    """Forms of a verb that captions use: running, runs, run; riding, rides, ride."""
    stem = verb.removesuffix("ing")
    short = stem[:-1] if stem[-1:] == stem[-2:-1] else stem
    return tuple(
        dict.fromkeys((verb, *(base + end for base in (stem, short, stem + "e") for end in ("", "s"))))
    )
