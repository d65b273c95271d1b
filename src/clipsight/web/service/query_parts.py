"""Parts of a search request: texts, photos of the library and uploaded pictures, each with a weight.

The grammar is that of `search.grammar`, but every part is text: clients of a server must not name its files,
or URLs for it to fetch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clipsight.core.errors import QueryError
from clipsight.core.text import is_url
from clipsight.search import grammar
from clipsight.search.query import Kind, Part, Query


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text; a negative weight subtracts it."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class PrintedPart:
    """Words that are to be read in photos; a negative weight leaves these photos out."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class PhotoPart:
    """A photo of the library, by its id."""

    id: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class UploadPart:
    """An uploaded picture: the bytes of a file, and its name in results."""

    data: bytes
    name: str = "picture"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class KeptPart:
    """A picture that was uploaded before, by its id."""

    id: str
    name: str = "picture"
    weight: float = 1.0


QueryPart = TextPart | PrintedPart | PhotoPart | UploadPart
GivenPart = QueryPart | KeptPart
"""A part as requests name it."""


def parse_query(
    text: str, *, add: Sequence[str] = (), subtract: Sequence[str] = ()
) -> tuple[TextPart | PrintedPart, ...]:
    """The parts of `text`, such as "flower + 2:bee - cartoon". Raises `QueryError` as `Query.parse` does."""
    rest, printed = grammar.split_printed(text)
    summands = grammar.split_summands(rest)
    for sign, each in [(1.0, each) for each in add] + [(-1.0, each) for each in subtract]:
        rest, more = grammar.split_printed(each)
        summands += [(sign, rest)] if rest.strip() or not more else []
        printed += [(sign * weight, value) for weight, value in more]
    if not (summands or printed):
        raise QueryError("the query is empty: write words, like flower + 2:bee")
    words = (_text_part(sign, summand) for sign, summand in summands)
    return (*words, *(PrintedPart(value, sign) for sign, value in printed))


def to_query(parts: Sequence[QueryPart]) -> Query:
    """The parts as a `Query` of the library: for weights, for `str`, and to tell texts from pictures."""
    if not parts:
        raise QueryError("the query is empty: give words, a picture, or both")
    return Query.of(Query(tuple(_library_part(part) for part in parts)))


def _text_part(sign: float, summand: str) -> TextPart:
    weight, value = grammar.split_weight(summand)
    if is_url(value):
        raise QueryError(f"a server fetches no addresses: download {value[:80]} and send the picture")
    return TextPart(value, sign * weight)


def _library_part(part: QueryPart) -> Part:
    match part:
        case TextPart(text, weight):
            return Part(Kind.TEXT, text, weight)
        case PrintedPart(text, weight):
            return Part(Kind.PRINTED, text, weight)
        case PhotoPart(id_, weight):
            return Part(Kind.PICTURE, f"photo {id_}", weight)
        case UploadPart(_, name, weight):
            return Part(Kind.PICTURE, name, weight)
