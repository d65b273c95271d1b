"""What a request may search for: words, photos of the library, and uploaded pictures, each with a weight.

The grammar is that of `search.grammar`, and every part is words: what a program on this machine may name,
a file or an address, somebody who reaches the server must not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clipsight.core.errors import QueryError
from clipsight.search import grammar
from clipsight.search.query import Kind, Part, Query


@dataclass(frozen=True, slots=True)
class Words:
    """A text; a negative weight subtracts it."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LibraryPhoto:
    """A photo of the library, by its number."""

    id: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """An uploaded picture: a file's bytes, and the name it goes by in the answer."""

    data: bytes
    name: str = "picture"
    weight: float = 1.0


SearchPart = Words | LibraryPhoto | Picture


def parse_words(text: str, *, add: Sequence[str] = (), subtract: Sequence[str] = ()) -> tuple[Words, ...]:
    """The parts of `text`, such as "flower + 2:bee - cartoon"; raises `QueryError` as `Query.parse` does."""
    pieces = grammar.summands(text) + [(1.0, each) for each in add] + [(-1.0, each) for each in subtract]
    if not pieces:
        raise QueryError("the query is empty: write words, like flower + 2:bee")
    return tuple(_words(sign, piece) for sign, piece in pieces)


def as_query(parts: Sequence[SearchPart]) -> Query:
    """The parts as the library's own query: for weights, for `str`, and to tell words from pictures."""
    if not parts:
        raise QueryError("the query is empty: give words, a picture, or both")
    return Query(tuple(_part(part) for part in parts))


def _words(sign: float, piece: str) -> Words:
    weight, value = grammar.weighed(piece)
    if grammar.is_address(value):
        raise QueryError(f"a server fetches no addresses: download {value[:80]} and send the picture")
    return Words(value, sign * weight)


def _part(part: SearchPart) -> Part:
    match part:
        case Words(text, weight):
            return Part(Kind.TEXT, text, weight)
        case LibraryPhoto(id_, weight):
            return Part(Kind.PICTURE, f"photo {id_}", weight)
        case Picture(_, name, weight):
            return Part(Kind.PICTURE, name, weight)
