"""One explanation from its pieces: the parts' shares, the words of each, and a region of the photo.

Called by `Library.explain` and `cli`.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import ModelError, PhotoError, QueryError
from clipsight.explain.base import (
    Explanation,
    Model,
    PartShare,
    Pixels,
    RegionExplainer,
    Settings,
    WordExplainer,
    WordShare,
)
from clipsight.explain.registry import DEFAULT, METHODS, Method
from clipsight.explain.text_segments import Word, one_line, split
from clipsight.search.query import Kind, Part, Query, coefficients, embed_parts

if TYPE_CHECKING:
    from clipsight.models.preprocess import PreprocessConfig


def explain(
    query: Query,
    photo: Path,
    model: Model,
    *,
    method: str = DEFAULT,
    word: str | None = None,
    region: bool = True,
    sample: NDArray[np.floating[Any]] | None = None,
    settings: Settings | None = None,
) -> Explanation:
    """Why `photo` has its score for `query`: shares of parts and words, and a region.

    What `method` can't do, words or regions, is done by occlusion and named so. `word` (a word or some
    consecutive ones of the query) asks for the region of that alone; without `region` there is none.
    `sample` is what `query.combine` balances mixed queries by. Raises ModelError for a method that is
    unknown, not installed or can't do this model; QueryError for a query or word; PhotoError with the path.
    """
    started = perf_counter()
    settings = settings or Settings()
    words_by, regions_by = explainers(method, model)
    if word is not None:
        _check_word(word, query)
    vectors = embed_parts(query, model)
    weights = coefficients(query, vectors, sample)
    pixels, seen = _read(photo, model)
    cosines = vectors.astype(np.float64) @ model.encode_pixels([pixels])[0].astype(np.float64)
    explainer = words_by[1](model, settings)
    parts, notes, additive = [], [], True
    for part, weight, cosine in zip(query.parts, weights.tolist(), cosines.tolist(), strict=True):
        shares: tuple[WordShare, ...] = ()
        if part.kind is Kind.TEXT:
            text, words, note = _readable(part.value, model)
            found = explainer.explain_words(text, words, pixels)
            shares = tuple(_scaled(each, weight) for each in found.words)
            additive &= found.additive
            notes += note
        parts.append(PartShare(_signed(part), weight, cosine, shares))
    heat = None
    if region:
        target = weights @ vectors if word is None else model.encode_texts([word])[0]
        heat = regions_by[1](model, settings).explain_region(target.astype(np.float32), pixels)
    return Explanation(
        query=str(query),
        photo=photo,
        model=model.name,
        score=float(weights @ cosines),
        method=words_by[0].name,
        parts=tuple(parts),
        region=heat,
        region_of=str(query) if word is None else word,
        seen=seen,
        additive=additive,
        seconds=perf_counter() - started,
        notes=tuple(notes),
    )


def explainers(
    name: str, model: Model
) -> tuple[tuple[Method, type[WordExplainer]], tuple[Method, type[RegionExplainer]]]:
    """The methods, with their classes, that explain words and regions of `model` if `name` is asked for."""
    method = METHODS.get(name)
    if method is None:
        raise ModelError(f"no method {name!r}: choose {', '.join(METHODS)}")
    check_installed(method)
    words = method.word_explainer() if method.words else None
    regions = method.region_explainer() if method.regions else None
    obstacles = [each.obstacle(model) for each in (words, regions) if each is not None]
    if all(obstacles):
        able = ", ".join(each.name for each in METHODS.values() if _can(each, model))
        raise ModelError(f"`method={name}` can't explain {model.name}, {obstacles[0]}: choose {able}")
    usual = METHODS[DEFAULT]
    return (
        (method, words) if words and not words.obstacle(model) else (usual, usual.word_explainer()),
        (method, regions) if regions and not regions.obstacle(model) else (usual, usual.region_explainer()),
    )


def check_installed(method: Method) -> None:
    """Raise ModelError where what the method needs is not there."""
    if not _installed(method):
        raise ModelError(
            f"`method={method.name}` needs PyTorch: pip install 'clipsight[{method.needs}]', "
            f"or choose {DEFAULT}"
        )


def seen_box(width: int, height: int, config: "PreprocessConfig") -> tuple[float, float, float, float]:
    """left, top, right, bottom of what a model sees, in shares of the photo's sides (see `Explanation`)."""
    if config.resize_mode == "squash":
        return 0.0, 0.0, 1.0, 1.0
    rows, columns = config.size
    scales = (width / columns, height / rows)  # pixels of the photo a pixel of the model
    scale = max(scales) if config.resize_mode == "longest" else min(scales)
    across, down = columns * scale / width, rows * scale / height
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def _installed(method: Method) -> bool:
    return not method.needs or importlib.util.find_spec("torch") is not None


def _can(method: Method, model: Model) -> bool:
    if not _installed(method):
        return False
    classes: list[type[WordExplainer] | type[RegionExplainer]] = []
    classes += [method.word_explainer()] if method.words else []
    classes += [method.region_explainer()] if method.regions else []
    return any(each.obstacle(model) is None for each in classes)


def _read(photo: Path, model: Model) -> tuple[Pixels, tuple[float, float, float, float]]:
    """What the model sees of the photo, and which part of it that is."""
    from clipsight.indexing.media.photo import open_picture

    config = model.preprocessing
    try:
        image = open_picture(photo.expanduser(), min_side=max(config.size))
    except PhotoError as error:
        raise PhotoError(f"can't explain {photo}: {error}") from error
    return model.preprocess(image), seen_box(*image.size, config)


def _readable(value: str, model: Model) -> tuple[str, tuple[Word, ...], list[str]]:
    """What the model reads of a text: words up to the one at which the context ends; a note if it was cut."""
    text = one_line(value)
    words = split(text)
    if not words or not model.truncated([text])[0]:
        return text, words, []
    low, high = 1, len(words)  # the smallest number of words that is cut has the same tokens as all
    while low < high:
        middle = (low + high) // 2
        if model.truncated([text[: words[middle - 1].end]])[0]:
            high = middle
        else:
            low = middle + 1
    note = f"{model.name} reads {model.context_length} tokens: only the first {low} words count"
    return text[: words[low - 1].end], words[:low], [note]


def _check_word(word: str, query: Query) -> None:
    """Refuse a word that no text of the query has."""
    wanted = _words(word)
    texts = [_words(part.value) for part in query.parts if part.kind is Kind.TEXT]
    if not wanted or not any(_holds(text, wanted) for text in texts):
        known = ", ".join(dict.fromkeys(each for text in texts for each in text)) or "no words"
        raise QueryError(f"`word` {word!r} is not in the query, which has {known}")


def _words(text: str) -> list[str]:
    return [word.text.casefold() for word in split(one_line(text))]


def _holds(text: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(text[at : at + len(wanted)] == wanted for at in range(len(text) - len(wanted) + 1))


def _scaled(share: WordShare, weight: float) -> WordShare:
    return replace(
        share,
        contribution=weight * share.contribution,
        stderr=None if share.stderr is None else abs(weight) * share.stderr,
        left_out=None if share.left_out is None else weight * share.left_out,
    )


def _signed(part: Part) -> str:
    return f"- {part}" if part.weight < 0 else str(part)
