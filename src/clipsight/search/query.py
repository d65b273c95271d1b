"""Queries: parts with weights, combined into one unit vector.

    two dogs on a beach             words
    ./pool.jpg                      a picture: a path that exists, or an http(s) URL
    flower + 2:bee - cartoon        parts, added and subtracted, each with an optional weight
    keyboard text:"akai mpk"        words that were read in the photo (see `fusion`)

A joint query is the weighted sum of its parts' unit vectors (the method of
https://github.com/haofanwang/natural-language-joint-query-search), normalised, so that
scores stay cosines.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from clipsight.core import paths
from clipsight.core.arguments import number, texts
from clipsight.core.arrays import Float32
from clipsight.core.errors import InvalidVectorError, PhotoError, QueryError
from clipsight.core.scripts import languages_with
from clipsight.core.text import is_url
from clipsight.indexing.media.picture import PhotoLike, Picture, is_one, several
from clipsight.indexing.scan import has_photo_suffix
from clipsight.search import grammar
from clipsight.search.embeddings import PhotoEncoder, embed_pictures

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder

QueryLike: TypeAlias = "Query | PhotoLike"
"""A query: text in the query grammar, a picture of any kind (a path as a `Path`), a vector, or a `Query`."""


class Kind(Enum):
    """Kind of a query part."""

    TEXT = "text"
    PRINTED = "printed"
    """Words to be read in the photo, which count in the vector only where the query has nothing else."""
    PICTURE = "picture"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Part:
    """One summand: its text, path or URL, and its weight, negative if subtracted.

    `given` is a picture that is not read from `value`, such as one in memory; `value` is then its name.
    """

    kind: Kind
    value: str
    weight: float = 1.0
    given: Picture | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        number(self.weight, "weight")

    @property
    def is_words(self) -> bool:
        """True for words, False for pictures."""
        return self.kind in (Kind.TEXT, Kind.PRINTED)

    @classmethod
    def picture(cls, photo: PhotoLike, weight: float = 1.0) -> "Part":
        """A part for a picture of any kind or a vector. Raises `PhotoError` for other objects."""
        found = Picture.of(photo, "picture")
        if found.vector is not None:
            found = replace(found, name="vector")
        return cls(Kind.PICTURE if found.url is None else Kind.URL, found.name, weight, found)

    @property
    def source(self) -> Picture:
        """The picture to open."""
        return self.given or Picture.of(self.value)

    def __str__(self) -> str:
        if self.kind is Kind.PRINTED:
            return grammar.with_text(self.value)
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
        query: QueryLike,
        *,
        add: "PhotoLike | Iterable[PhotoLike]" = (),
        subtract: "PhotoLike | Iterable[PhotoLike]" = (),
    ) -> "Query":
        """Make a query of text in the query grammar, a picture of any kind, a vector, or a `Query`.

        A str is parsed, so give the path of a picture as a `Path`. `add` and `subtract` are further parts,
        one or several. Raises `QueryError` as `parse` does.
        """
        try:
            parts = [
                *_parts(query),
                *(each for part in several(add, "add") for each in _added(part, 1.0)),
                *(each for part in several(subtract, "subtract") for each in _added(part, -1.0)),
            ]
        except PhotoError as error:
            raise QueryError(str(error)) from error
        if not parts:
            raise QueryError('the query is empty: give words, a picture, or both, like "flower + 2:bee"')
        if all(part.kind is Kind.PRINTED and part.weight < 0 for part in parts):
            raise QueryError(
                'the query only leaves photos out: add words to look for, like cat - text:"sale"'
            )
        return cls(tuple(parts))

    @classmethod
    def several(cls, queries: "QueryLike | Iterable[QueryLike]") -> "list[Query]":
        """Make a list of queries of one query or several; the rows of an array float[n, dim] are vectors."""
        if isinstance(queries, Query):
            return [queries]
        try:
            return [cls.of(query) for query in several(queries, "queries")]
        except PhotoError as error:
            raise QueryError(str(error)) from error

    @classmethod
    def parse(cls, text: str, *, add: Sequence[str] = (), subtract: Sequence[str] = ()) -> "Query":
        """Parse text in the query grammar; each of `add` and `subtract` is one further part.

        `+` and `-` with white space on both sides are operators. Raises `QueryError` for an empty query or
        part, a weight that is not a finite number, and a picture that does not exist.
        """
        return cls.of(text, add=texts(add, "add"), subtract=texts(subtract, "subtract"))

    def __str__(self) -> str:
        first, *rest = self.parts
        text = f"- {first}" if first.weight < 0 else str(first)
        return text + "".join(f" {'-' if part.weight < 0 else '+'} {part}" for part in rest)

    @property
    def asks_for_text(self) -> bool:
        """True for a query with words that are to be read in photos, or not to be."""
        return any(part.kind is Kind.PRINTED for part in self.parts)

    @property
    def is_mixed(self) -> bool:
        """True for a query of words and pictures, whose scores have different scales."""
        return len({part.is_words for part in self.parts if part.kind is not Kind.PRINTED}) == 2


def combine(query: Query, vectors: Float32, sample: npt.NDArray[np.floating[Any]] | None) -> Float32:
    """Combine the unit vectors of a query's parts, float32[parts, dim], into one unit vector, float32[dim].

    It is the sum of the parts' vectors times their `coefficients`, which see for `sample`.
    """
    return (coefficients(query, vectors, sample) @ vectors.astype(np.float64)).astype(np.float32)


def coefficients(
    query: Query, vectors: Float32, sample: npt.NDArray[np.floating[Any]] | None
) -> npt.NDArray[np.float64]:
    """Coefficients, float64[parts], of the parts in the query's unit vector.

    A photo's score is the sum of its cosines with the parts times these coefficients. Without `sample`, they
    are proportional to the weights. With `sample`, float[n, dim] of the library's embeddings, each part's
    scores are also scaled to unit standard deviation over the sample ("balance"): standardised scores are `(x
    . part - mean) / deviation`, and since the means are the same for every photo x, the ranking is that of
    the vector `sum(weight / deviation * part)`. Raises `QueryError` if the parts cancel each other out.
    """
    alone = all(part.kind is Kind.PRINTED for part in query.parts)
    counts = [part.kind is not Kind.PRINTED or (alone and part.weight > 0) for part in query.parts]
    weights = np.array([part.weight for part in query.parts], dtype=np.float64) * counts
    weights /= np.abs(weights).max() or 1.0  # only ratios matter; keeps sums finite
    if sample is not None and len(sample) > 1:
        scores = sample.astype(np.float32, copy=False) @ vectors.T.astype(np.float32, copy=False)
        deviations = scores.std(axis=0, dtype=np.float64)
        if (deviations > 1e-9).all():  # otherwise all photos have the same cosine with some part
            weights /= deviations
    length = float(np.linalg.norm(weights @ vectors.astype(np.float64)))
    if length <= 1e-6 * float(np.abs(weights).sum()):  # the rest is rounding error of the encoder
        raise QueryError(f"the parts of {str(query)!r} cancel each other out: change a weight")
    return weights / length


class PartEncoder(PhotoEncoder, Protocol):
    """The part of `Encoder` that embeds queries."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Unit vectors of texts, float32[n, dim]."""


def embed_parts(query: Query, encoder: PartEncoder) -> Float32:
    """Embed the query's parts, in their order: float32[parts, dim] of unit length.

    Raises `QueryError` for a picture that can't be fetched or read, and for a part for which the model
    returns no valid vector.
    """
    words = [part.value for part in query.parts if part.is_words]
    pictures = [part.source for part in query.parts if not part.is_words]
    try:
        text_vectors = iter(encoder.encode_texts(words) if words else ())
        picture_vectors = iter(embed_pictures(pictures, encoder))
    except InvalidVectorError as error:
        raise QueryError(f"can't search for {words[error.rows[0]]!r}: {error.reason}") from error
    except PhotoError as error:
        raise QueryError(str(error)) from error
    return np.stack([next(text_vectors if part.is_words else picture_vectors) for part in query.parts])


def truncation_notes(query: Query, encoder: "Encoder") -> tuple[str, ...]:
    """One line for each text that is longer than the model's context and was cut."""
    words = [part.value for part in query.parts if part.kind is Kind.TEXT]
    cut = encoder.truncated(words) if words else ()
    return tuple(
        f"text cut to the model's {encoder.folder.context_length} tokens: {text[:60]}..."
        for text, was_cut in zip(words, cut, strict=True)
        if was_cut
    )


def language_notes(query: Query, folder: "ModelFolder") -> tuple[str, ...]:
    """One line if the query has letters of a script in which no language is written that the model reads."""
    words = "".join(part.value for part in query.parts if part.kind is Kind.TEXT)
    if words.isascii():
        return ()
    from clipsight.models.registry import MULTILINGUAL, languages_of

    known = languages_of(folder)
    if not known or all(known & languages_with(letter) for letter in set(words)):
        return ()
    read = "English only" if known == {"en"} else f"no other languages than {', '.join(sorted(known))}"
    return (f"the model {folder.name} reads {read}; for others: clipsight index --model {MULTILINGUAL}",)


def _parts(query: QueryLike) -> Sequence[Part]:
    if isinstance(query, Query):
        return query.parts
    if isinstance(query, str):
        if _names_picture(query.strip()):  # a file name may hold " - "
            return [_part(query, 1.0)]
        return _with_printed(
            query, lambda rest: [_part(each, sign) for sign, each in grammar.split_summands(rest)]
        )
    if not is_one(query):
        raise QueryError(f"a query is text, a picture or a Query, not {type(query).__name__}")
    return [Part.picture(query)]


def _added(part: PhotoLike, sign: float) -> Sequence[Part]:
    """The parts of `add` or `subtract`: a str is one summand, and perhaps texts."""
    if not isinstance(part, str):
        return [Part.picture(part, sign)]
    return _with_printed(part, lambda rest: [_part(rest, sign)], sign)


def _with_printed(text: str, parse: Callable[[str], list[Part]], sign: float = 1.0) -> list[Part]:
    """The parts of a text: its operators `text:`, and the rest as `parse` reads it."""
    rest, printed = grammar.split_printed(text)
    found = parse(rest) if rest.strip() or not printed else []
    return found + [Part(Kind.PRINTED, value, sign * each) for each, value in printed]


def _part(summand: str, sign: float) -> Part:
    """Parse one summand: an optional weight, then words, a path or a URL."""
    weight, value = grammar.split_weight(summand, _names_picture)
    return Part(_kind(value), value, sign * weight)


def _kind(value: str) -> Kind:
    if is_url(value):
        return Kind.URL
    if _names_picture(value):
        return Kind.PICTURE
    if value.startswith(paths.PREFIXES) or (
        has_photo_suffix(value.encode(errors="replace")) and " " not in value
    ):
        raise QueryError(f"no such picture: {value}")
    return Kind.TEXT


def _names_picture(value: str) -> bool:
    """True for an existing file with "/" or a photo's suffix in its path: `./dog`, `dog.jpg`, not `dog`."""
    if "/" not in value and not has_photo_suffix(value.encode(errors="replace")):
        return False
    return paths.find_file(value) is not None
