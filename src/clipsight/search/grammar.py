"""Query grammar: text to summands with signs and weights; the caller decides what a summand names.

flower + 2:bee - cartoon
"""

import math
import re
from collections.abc import Callable

from clipsight.core.errors import QueryError

_OPERATOR = re.compile(r"(?:^|(?<=\s))([+-])(?=\s|$)")
_WEIGHT = re.compile(r"([^\s:/\\]+):(\s*)(.*)", re.DOTALL)
_URL = re.compile(r"https?://", re.IGNORECASE)


def split_summands(text: str) -> list[tuple[float, str]]:
    """Summands of `text` with their signs, 1 or -1; `+` and `-` are operators between white space."""
    if not text.strip():
        return []
    first, *rest = _OPERATOR.split(text)
    found = [(1.0, first)] if first.strip() or not rest else []
    return found + [
        (1.0 if sign == "+" else -1.0, summand) for sign, summand in zip(rest[::2], rest[1::2], strict=True)
    ]


def split_weight(summand: str, is_name: Callable[[str], bool] = lambda value: False) -> tuple[float, str]:
    """Weight of a summand, and the rest of it; `is_name` recognises file names, which may have a colon.

    Raises `QueryError` for a weight that is not a finite number, and for an empty summand.
    """
    value, weight = summand.strip(), 1.0
    prefix = None if is_url(value) or is_name(value) else _WEIGHT.fullmatch(value)
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
        raise QueryError(f"part {summand.strip()!r} of the query is empty: write words in it, like 2:bee")
    return weight, value


def looks_weighted(value: str) -> bool:
    """True if the words would be read as a weight and words, so that they need an explicit weight."""
    return _WEIGHT.fullmatch(value) is not None


def is_url(value: str) -> bool:
    """True for an http(s) URL."""
    return _URL.match(value) is not None


def _number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
