"""The query grammar: text to summands, each with a weight. What a summand names is for the caller to say.

    flower + 2:bee - cartoon

Called by `query`, for which a summand may be a file or an address, and by `web.parts`, where all are words.
"""

import math
import re
from collections.abc import Callable

from clipsight.core.errors import QueryError

_OPERATOR = re.compile(r"(?:^|(?<=\s))([+-])(?=\s|$)")
_WEIGHT = re.compile(r"([^\s:/\\]+):(\s*)(.*)", re.DOTALL)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def summands(text: str) -> list[tuple[float, str]]:
    """The pieces of `text` with their signs, 1 or -1; `+` and `-` join where white space is on both sides."""
    if not text.strip():
        return []
    first, *rest = _OPERATOR.split(text)
    pieces = [(1.0, first)] if first.strip() or not rest else []
    return pieces + [
        (1.0 if sign == "+" else -1.0, piece) for sign, piece in zip(rest[::2], rest[1::2], strict=True)
    ]


def weighed(piece: str, is_name: Callable[[str], bool] = lambda value: False) -> tuple[float, str]:
    """The weight of a piece, and what it weighs; `is_name` tells what is a name though it has a colon.

    Raises `QueryError` for a weight that is not a finite number, and for an empty piece.
    """
    value, weight = piece.strip(), 1.0
    prefix = None if is_address(value) or is_name(value) else _WEIGHT.fullmatch(value)
    if prefix:
        text, space, rest = prefix.groups()
        number = _number(text)
        if number is not None:
            weight, value = number, rest
        elif not space:  # "two:bee" is a mistaken weight, "Title: bees" is words
            raise QueryError(
                f"weight {text!r} in {value!r} is not a number: write 2:{rest or 'bee'}; "
                f"to search for words with a colon, write 1:{value}"
            )
    if not value:
        raise QueryError(f"part {piece.strip()!r} of the query is empty: write words in it, like 2:bee")
    return weight, value


def may_have_weight(value: str) -> bool:
    """Whether these words would be taken for a weight and words, so that they must be written with one."""
    return _WEIGHT.fullmatch(value) is not None


def is_address(value: str) -> bool:
    """Whether it begins as an http(s) address does."""
    return _ADDRESS.match(value) is not None


def _number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
