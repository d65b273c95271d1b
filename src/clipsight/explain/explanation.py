"""Explanation of a score by a method: shares of the query's parts and words, and a heat map of the photo."""

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import ModelError, PhotoError, QueryError
from clipsight.core.extras import how_to_install
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
from clipsight.explain.occlusion import OcclusionRegions, OcclusionWords
from clipsight.explain.registry import DEFAULT_METHOD, METHODS, Method
from clipsight.explain.text_segments import Word, one_line, split
from clipsight.indexing.media.picture import PhotoLike, Picture
from clipsight.search.query import Part, Query, coefficients, embed_parts

if TYPE_CHECKING:
    from clipsight.models.preprocess import PreprocessConfig
    from clipsight.search.connection import Connection
    from clipsight.store.catalog import Catalog


def explain(
    query: Query,
    photo: "PhotoLike | Picture",
    model: Model,
    *,
    method: str = DEFAULT_METHOD,
    word: str | None = None,
    region: bool = True,
    sample: NDArray[np.floating[Any]] | None = None,
    settings: Settings | None = None,
) -> Explanation:
    """Explain the score of `photo` for `query` by its parts, its words and regions of the photo.

    Occlusion is used for words or for regions if `method` can't explain these. `word`, one or several
    consecutive words of the query, is the text of the heat map instead of the query; with `region` false
    there is no heat map. `sample` balances mixed queries, as in `query.coefficients`. Raises ModelError for a
    method that is unknown, not installed or does not support the model, QueryError for an invalid query or
    word, and PhotoError.
    """
    started = perf_counter()
    settings = settings or Settings()
    (words_method, word_class), (_, region_class) = explainers(method, model)
    if word is not None:
        _check_word(word, query)
    vectors = embed_parts(query, model)
    weights = coefficients(query, vectors, sample)
    picture = Picture.of(photo)
    pixels, seen = _read(picture, model)
    cosines = vectors.astype(np.float64) @ model.encode_pixels([pixels])[0].astype(np.float64)
    explainer = word_class(model, settings)
    parts, notes, additive = [], [], True
    for part, weight, cosine in zip(query.parts, weights.tolist(), cosines.tolist(), strict=True):
        shares: tuple[WordShare, ...] = ()
        if part.is_words:
            text, words, truncation = _truncate(part.value, model)
            explained = explainer.explain_words(text, words, pixels)
            shares = tuple(_scaled(each, weight) for each in explained.words)
            additive &= explained.additive
            notes += truncation
        parts.append(PartShare(_signed(part), weight, cosine, shares))
    heat = None
    if region:
        target = weights @ vectors if word is None else model.encode_texts([word])[0]
        heat = region_class(model, settings).explain_region(target.astype(np.float32), pixels)
    return Explanation(
        query=str(query),
        photo=picture.path,
        model=model.name,
        score=float(weights @ cosines),
        method=words_method.name,
        parts=tuple(parts),
        region=heat,
        region_of=str(query) if word is None else word,
        seen=seen,
        additive=additive,
        seconds=perf_counter() - started,
        notes=tuple(notes),
        picture=picture,
    )


def explain_in(
    opened: "Connection[Any]",
    query: Query,
    photo: "PhotoLike | Picture",
    checkpoint: "str | os.PathLike[str] | None",
    *,
    balance: bool,
    settings: Settings | None,
    progress: Callable[[str, int, int], None] | None,
    **options: Any,
) -> Explanation:
    """Explain with the model of a library, or with `checkpoint`; see `Library.explain`."""
    from clipsight.explain.onnx_model import OnnxModel

    if progress is not None:
        settings = replace(settings or Settings(), progress=progress)
    if checkpoint is not None:
        weights = os.fspath(checkpoint)
        return explain_by_checkpoint(query, photo, weights, balance=balance, settings=settings, **options)
    sample = opened.snapshot.balance_sample([query]) if balance else None
    found = explain(query, photo, OnnxModel(opened.encoder), sample=sample, settings=settings, **options)
    photo_id = opened.catalog.photo_id_at(os.fsencode(os.path.abspath(found.photo)))
    return found if photo_id is None else with_text(found, query, photo_id, opened.catalog)


def with_text(found: Explanation, query: Query, photo_id: int, catalog: "Catalog") -> Explanation:
    """The explanation of a photo of the library, with the lines of its text that have words of the query."""
    from clipsight.search.fusion import text_in_photo

    return replace(found, text=text_in_photo(query, photo_id, catalog))


def explain_by_checkpoint(
    query: Query, photo: "PhotoLike | Picture", checkpoint: str, *, balance: bool = True, **options: Any
) -> Explanation:
    """As `explain`, with the model of a PyTorch checkpoint (see `open_checkpoint`).

    Mixed queries are not balanced, as no library has vectors of this model; with `balance`, a note says so.
    Also raises `CheckpointError`.
    """
    from clipsight.explain.torch_methods.model import open_checkpoint

    found = explain(query, photo, open_checkpoint(checkpoint), **options)
    if not (balance and query.is_mixed):
        return found
    return replace(found, notes=(*found.notes, f"not balanced: no library has photos by {checkpoint}"))


def explainers(
    name: str, model: Model
) -> tuple[tuple[Method, type[WordExplainer]], tuple[Method, type[RegionExplainer]]]:
    """The methods, with their classes, to explain words and regions of `model`: `name` if possible.

    Raises ModelError if the method is unknown, not installed or supports neither words nor regions.
    """
    method = METHODS.get(name)
    if method is None:
        raise ModelError(f"no method {name!r}: choose {', '.join(METHODS)}")
    check_installed(method)
    words, regions = word_explainer(method), region_explainer(method)
    reasons = [each.unsupported(model) for each in (words, regions) if each is not None]
    if all(reasons):
        others = ", ".join(each.name for each in METHODS.values() if _supports(each, model))
        raise ModelError(f"`method={name}` can't explain {model.name}, {reasons[0]}: choose {others}")
    default = METHODS[DEFAULT_METHOD]
    return (
        (method, words) if words and not words.unsupported(model) else (default, OcclusionWords),
        (method, regions) if regions and not regions.unsupported(model) else (default, OcclusionRegions),
    )


def word_explainer(method: Method) -> type[WordExplainer] | None:
    """Import the word explainer of a method; None if it has none."""
    explainer: type[WordExplainer] | None = _import(method.words) if method.words else None
    return explainer


def region_explainer(method: Method) -> type[RegionExplainer] | None:
    """Import the region explainer of a method; None if it has none."""
    explainer: type[RegionExplainer] | None = _import(method.regions) if method.regions else None
    return explainer


def check_installed(method: Method) -> None:
    """Raise ModelError if the method needs a package that is not installed."""
    if not _installed(method):
        raise ModelError(
            f"`method={method.name}` needs {method.package}: choose {DEFAULT_METHOD}, "
            f"or {how_to_install(method.needs)}"
        )


def seen_box(width: int, height: int, config: "PreprocessConfig") -> tuple[float, float, float, float]:
    """The box that a model sees, as fractions of the photo's sides (see `Explanation.seen`)."""
    if config.resize_mode == "squash":
        return 0.0, 0.0, 1.0, 1.0
    rows, columns = config.size
    scales = (width / columns, height / rows)  # pixels of the photo for one of the input
    scale = max(scales) if config.resize_mode == "longest" else min(scales)
    across, down = columns * scale / width, rows * scale / height
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def _installed(method: Method) -> bool:
    return not method.package or importlib.util.find_spec(method.package) is not None


def _import(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(f"clipsight.explain.{module}"), name)


def _supports(method: Method, model: Model) -> bool:
    if not _installed(method):
        return False
    classes = (word_explainer(method), region_explainer(method))
    return any(each is not None and each.unsupported(model) is None for each in classes)


def _read(photo: Picture, model: Model) -> tuple[Pixels, tuple[float, float, float, float]]:
    """The preprocessed photo, and the box of it that the model sees."""
    config = model.preprocessing
    try:
        image = photo.open(min_side=max(config.size))
    except PhotoError as error:
        raise PhotoError(f"can't explain {photo.name}: {error}") from error
    return model.preprocess(image), seen_box(*image.size, config)


def _truncate(value: str, model: Model) -> tuple[str, tuple[Word, ...], list[str]]:
    """The text and its words, cut after the word at which the context ends, and a note if it was cut."""
    text = one_line(value)
    words = split(text)
    if not words or not model.truncated([text])[0]:
        return text, words, []
    low, high = 1, len(words)  # binary search: the fewest words that exceed the context give the same tokens
    while low < high:
        middle = (low + high) // 2
        if model.truncated([text[: words[middle - 1].end]])[0]:
            high = middle
        else:
            low = middle + 1
    note = f"{model.name} reads {model.context_length} tokens: only the first {low} words count"
    return text[: words[low - 1].end], words[:low], [note]


def _check_word(word: str, query: Query) -> None:
    """Raise QueryError if no text of the query contains `word`."""
    wanted = _words(word)
    texts = [_words(part.value) for part in query.parts if part.is_words]
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
        leave_one_out=None if share.leave_one_out is None else weight * share.leave_one_out,
    )


def _signed(part: Part) -> str:
    return f"- {part}" if part.weight < 0 else str(part)
