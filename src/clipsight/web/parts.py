"""What a request may search for: words, photos of the library, and uploaded pictures, each with a weight.

The grammar is that of `clipsight.query`, but every part is words: what a program on this machine may name,
a file or an address, somebody who reaches the server must not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clipsight.errors import QueryError
from clipsight.query import _ADDRESS, _OPERATOR, _WEIGHT, Kind, Part, Query, _number


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
    first, *rest = _OPERATOR.split(text)
    pieces = [("+", first)] if first.strip() or not rest else []
    pieces += zip(rest[::2], rest[1::2], strict=True)
    pieces += [("+", piece) for piece in add] + [("-", piece) for piece in subtract]
    return tuple(_words(sign, piece) for sign, piece in pieces)


def as_query(parts: Sequence[SearchPart]) -> Query:
    """The parts as the library's own query: for weights, for `str`, and to tell words from pictures."""
    if not parts:
        raise QueryError("the query is empty: give words, a picture, or both")
    return Query(tuple(_part(part) for part in parts))


def _words(sign: str, piece: str) -> Words:
    value, weight = piece.strip(), 1.0
    prefix = None if _ADDRESS.match(value) else _WEIGHT.fullmatch(value)
    if prefix:
        number, space, rest = _number(prefix[1]), prefix[2], prefix[3]
        if number is not None:
            value, weight = rest, number
        elif not space:
            raise QueryError(
                f"weight {prefix[1]!r} in {value!r} is not a number: write 2:{rest or 'bee'}; "
                f"to search for words with a colon, write 1:{value}"
            )
    if _ADDRESS.match(value):
        raise QueryError(f"a server fetches no addresses: download {value[:80]} and send the picture")
    if not value:
        raise QueryError(f"part {piece.strip()!r} of the query is empty: write words, like 2:bee")
    return Words(value, -weight if sign == "-" else weight)


def _part(part: SearchPart) -> Part:
    match part:
        case Words(text, weight):
            return Part(Kind.TEXT, text, weight)
        case LibraryPhoto(id_, weight):
            return Part(Kind.PICTURE, f"photo {id_}", weight)
        case Picture(_, name, weight):
            return Part(Kind.PICTURE, name, weight)
