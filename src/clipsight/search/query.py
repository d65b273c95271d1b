"""Queries: parts with weights, combined into one unit vector.

    two dogs on a beach             words
    ./pool.jpg                      a picture: a path that exists, or an http(s) URL
    flower + 2:bee - cartoon        parts, added and subtracted, each with an optional weight

A joint query is the weighted sum of its parts' unit vectors (the method of
https://github.com/haofanwang/natural-language-joint-query-search), normalised, so that
scores stay cosines.
"""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from clipsight.core import paths
from clipsight.core.arguments import texts
from clipsight.core.arrays import Float32
from clipsight.core.errors import NoDirectionError, PhotoError, QueryError
from clipsight.indexing.scan import has_photo_suffix
from clipsight.search import grammar

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipsight.models.encoder import Encoder
    from clipsight.models.preprocess import PreprocessConfig


MAX_FETCHED_BYTES = 64 << 20
FETCH_TIMEOUT_SECONDS = 20.0
"""Limits on a picture that is fetched from a URL."""

_NOT_PICTURES = ("text/", "application/json", "application/xml", "application/xhtml+xml")
"""Media types that no picture has; servers give some pictures strange types, or none."""


class Kind(Enum):
    """Kind of a query part."""

    TEXT = "text"
    PICTURE = "picture"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Part:
    """One summand: its text, path or URL, and its weight, negative if subtracted."""

    kind: Kind
    value: str
    weight: float = 1.0

    def __str__(self) -> str:
        size = abs(self.weight)
        if size == 1 and not (self.kind is Kind.TEXT and grammar.looks_weighted(self.value)):
            return self.value
        return grammar.with_weight(size, self.value)


@dataclass(frozen=True, slots=True)
class Query:
    """One or more parts, in the order they were written."""

    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls,
        query: "str | os.PathLike[str] | Query",
        *,
        add: Sequence[str] = (),
        subtract: Sequence[str] = (),
    ) -> "Query":
        """A query as Python callers give it: text by the grammar, a path to a picture, or a `Query`.

        Raises `QueryError` as `parse` does, and for anything else.
        """
        if isinstance(query, Query):
            return query
        if isinstance(query, os.PathLike):
            picture = Part(Kind.PICTURE, os.fspath(query))
            return cls((picture, *(cls.of("", add=add, subtract=subtract).parts if add or subtract else ())))
        if not isinstance(query, str):
            raise QueryError(f"a query is text, a path or a Query, not {type(query).__name__}")
        return cls.parse(query, add=texts(add, "add"), subtract=texts(subtract, "subtract"))

    @classmethod
    def parse(cls, text: str, *, add: Sequence[str] = (), subtract: Sequence[str] = ()) -> "Query":
        """Parse `text` by the grammar; each of `add` and `subtract` is one more part.

        `+` and `-` are operators where white space stands on both sides. Raises `QueryError` for an
        empty query or part, a weight that is not a finite number, a picture that does not exist.
        """
        parts = [_part(summand, sign) for sign, summand in _summands(text)]
        parts += [_part(text, 1.0) for text in add]
        parts += [_part(text, -1.0) for text in subtract]
        if not parts:
            raise QueryError('the query is empty: give words, a picture, or both, like "flower + 2:bee"')
        return cls(tuple(parts))

    def __str__(self) -> str:
        first, *rest = self.parts
        text = f"- {first}" if first.weight < 0 else str(first)
        return text + "".join(f" {'-' if part.weight < 0 else '+'} {part}" for part in rest)

    @property
    def is_mixed(self) -> bool:
        """True for a query of words and pictures, whose scores lie on different scales."""
        return len({part.kind is Kind.TEXT for part in self.parts}) == 2


def combine(query: Query, vectors: Float32, sample: npt.NDArray[np.floating[Any]] | None) -> Float32:
    """One unit vector, float32[dim], for a query whose parts have the unit `vectors` float32[parts, dim].

    The sum of the parts' vectors times their `coefficients`.
    """
    return (coefficients(query, vectors, sample) @ vectors.astype(np.float64)).astype(np.float32)


def coefficients(
    query: Query, vectors: Float32, sample: npt.NDArray[np.floating[Any]] | None
) -> npt.NDArray[np.float64]:
    """Coefficients of the parts' vectors in the query's, float64[parts]; scores are the same sum of cosines.

    With `sample`, float[n, dim] of the library's own embeddings, each part's scores are brought
    to unit standard deviation over it before they are added ("balance"). Standardised scores are
    `(x . part - mean) / deviation`; the means are the same for every photo x, so the ranking is
    that of one vector, the sum of `weight / deviation * part`. Without it, the plain weighted sum.
    Raises `QueryError` where the parts cancel out.
    """
    weights = np.array([part.weight for part in query.parts], dtype=np.float64)
    weights /= np.abs(weights).max() or 1.0  # only ratios count, and sums stay finite
    if sample is not None and len(sample) > 1:
        scores = sample.astype(np.float32, copy=False) @ vectors.T.astype(np.float32, copy=False)
        deviations = scores.std(axis=0, dtype=np.float64)
        if (deviations > 1e-9).all():  # else all photos are alike to some part, and there is no scale
            weights /= deviations
    length = float(np.linalg.norm(weights @ vectors.astype(np.float64)))
    if length <= 1e-6 * float(np.abs(weights).sum()):  # what is left is the encoder's rounding
        raise QueryError(f"the parts of {str(query)!r} cancel each other out: change a weight")
    return weights / length


class PartEncoder(Protocol):
    """Methods of an `Encoder` that embedding a query needs."""

    @property
    def preprocessing(self) -> "PreprocessConfig":
        """Preparation of photos."""

    def preprocess(self, image: "Image") -> npt.NDArray[np.uint8]:
        """Pixels of an RGB photo as the model takes them, uint8[H, W, 3]."""

    def encode_pixels(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> Float32:
        """Unit vectors of such pixels, float32[n, dim]."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Unit vectors of texts, float32[n, dim]."""


def embed_parts(query: Query, encoder: PartEncoder) -> Float32:
    """The unit vectors of the query's parts, in their order: float32[parts, dim].

    Raises `QueryError` for a picture that can't be fetched or read, and for a part without a vector.
    """
    words = [part.value for part in query.parts if part.kind is Kind.TEXT]
    names = [part.value for part in query.parts if part.kind is not Kind.TEXT]
    pictures = [
        encoder.preprocess(_open(part, encoder)) for part in query.parts if part.kind is not Kind.TEXT
    ]
    values = words
    try:
        text_vectors = iter(encoder.encode_texts(words) if words else ())
        values = names
        picture_vectors = iter(encoder.encode_pixels(pictures) if pictures else ())
    except NoDirectionError as error:
        raise QueryError(f"can't search for {values[error.rows[0]]!r}: {error.reason}") from error
    return np.stack(
        [next(text_vectors if part.kind is Kind.TEXT else picture_vectors) for part in query.parts]
    )


def truncation_notes(query: Query, encoder: "Encoder") -> tuple[str, ...]:
    """One line for each text that is longer than the model's context and was cut."""
    words = [part.value for part in query.parts if part.kind is Kind.TEXT]
    cut = encoder.truncated(words) if words else ()
    return tuple(
        f"text cut to the model's {encoder.folder.context_length} tokens: {text[:60]}..."
        for text, was_cut in zip(words, cut, strict=True)
        if was_cut
    )


def language_notes(query: Query, model: str) -> tuple[str, ...]:
    """A line if the query has letters of another script than Latin and `model` reads English only."""
    words = "".join(part.value for part in query.parts if part.kind is Kind.TEXT)
    foreign = any(each.isalpha() and not unicodedata.name(each, "").startswith("LATIN") for each in words)
    if words.isascii() or not foreign:
        return ()
    from clipsight.models.registry import MULTILINGUAL, reads_only_english

    if not reads_only_english(model):
        return ()
    return (
        f"the model {model} reads English only; for other languages: clipsight index --model {MULTILINGUAL}",
    )


def _open(part: Part, encoder: PartEncoder) -> "Image":
    """Open the picture that a part names, as indexing opens photos."""
    from clipsight.indexing.media.photo import open_picture

    source = _fetch(part.value) if part.kind is Kind.URL else Path(part.value).expanduser()
    try:
        return open_picture(source, min_side=max(encoder.preprocessing.size))
    except PhotoError as error:
        raise QueryError(f"can't use the picture {part.value}: {error}") from error


def _fetch(url: str) -> bytes:
    """Fetch a picture from an http(s) URL, within the limits on time and size.

    Raises `QueryError` if the request fails or the response is not a picture.
    """
    from clipsight.core import http

    request = http.Request(
        url, headers={"Accept": "image/*"}, max_bytes=MAX_FETCHED_BYTES, timeout=FETCH_TIMEOUT_SECONDS
    )
    try:
        response = http.send(request)
    except http.HttpError as error:
        raise QueryError(f"can't fetch {url}: {error}") from error
    if response.status != 200:
        raise QueryError(
            f"can't fetch {url}: the server answered {response.status} {response.reason}".rstrip()
        )
    if response.content_type.startswith(_NOT_PICTURES):
        raise QueryError(f"can't fetch {url}: the server sent {response.content_type}, not a picture")
    return response.body


def _summands(text: str) -> list[tuple[float, str]]:
    """The summands of a query with their signs, still as text."""
    if _names_picture(text.strip()):  # a file name may hold " - "
        return [(1.0, text)]
    return grammar.split_summands(text)


def _part(summand: str, sign: float) -> Part:
    """Parse one summand: an optional weight, then words, a path or a URL."""
    weight, value = grammar.split_weight(summand, _names_picture)
    return Part(_kind(value), value, sign * weight)


def _kind(value: str) -> Kind:
    if grammar.is_url(value):
        return Kind.URL
    if _names_picture(value):
        return Kind.PICTURE
    if value.startswith(paths.PREFIXES) or (
        has_photo_suffix(value.encode(errors="replace")) and " " not in value
    ):
        raise QueryError(f"no such picture: {value}")
    return Kind.TEXT


def _names_picture(value: str) -> bool:
    """True for an existing file, if a folder or a photo's suffix tells it from a word: `./dog`, `dog.jpg`."""
    if "/" not in value and not has_photo_suffix(value.encode(errors="replace")):
        return False
    return paths.find_file(value) is not None
