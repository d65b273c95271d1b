"""Validation of arguments of public calls: one string or several, whole numbers, finite numbers."""

import math
import os
from collections.abc import Iterable
from numbers import Real
from typing import Any

from clipsight.core.errors import ClipsightError, QueryError

INT64_MAX = 2**63 - 1
MAX_THREADS = 1024
"""Maximum number of CPU threads: more than any machine has cores, fewer than would exhaust its memory."""

DEFAULT_MAX_PIXELS = 250_000_000
"""Largest width x height decoded: above the 200 megapixels of today's largest phone sensors."""


def texts(
    value: Any, name: str, *, error: type[ClipsightError] = QueryError, paths: bool = False
) -> tuple[Any, ...]:
    """The argument `name` as a tuple of strings (or paths, if `paths`); a single string is a tuple of one.

    Raises `error` for items of other types, and for an empty path.
    """
    kinds = (str, os.PathLike) if paths else (str,)
    items = (
        (value,) if isinstance(value, kinds) else tuple(value) if isinstance(value, Iterable) else (value,)
    )
    for item in items:
        if not isinstance(item, kinds):
            raise error(f"`{name}` takes {'paths' if paths else 'texts'}, not {item!r}")
        if paths and not os.fspath(item):
            raise error(f"`{name}` has an empty path: leave it out, or write the path of a folder")
    return items


def whole_number(
    value: Any,
    name: str,
    *,
    minimum: int = 0,
    maximum: int = INT64_MAX,
    required: bool = False,
    error: type[ClipsightError] = QueryError,
) -> int | None:
    """The argument `name`: an int from `minimum` to `maximum`, or None unless it is `required`.

    Raises `error` for anything else, bool included.
    """
    if (value is None and not required) or (type(value) is int and minimum <= value <= maximum):
        return value
    if type(value) is not int:
        raise error(f"`{name}` takes a whole number, not {value!r}")
    if 0 <= value < minimum:
        raise error(f"`{name}` must be at least {minimum} (got {value})")
    most = "2**63 - 1" if maximum == INT64_MAX else f"{maximum:,}"
    raise error(f"`{name}` must lie between {minimum} and {most}, not {_shown(value)}")


def number(
    value: Any,
    name: str,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    error: type[ClipsightError] = QueryError,
) -> None:
    """Raise `error` unless the argument `name` is a finite number from `minimum` to `maximum`, not a bool."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not _is_finite(value):
        raise error(f"`{name}` takes a finite number, not {_shown(value)}")
    if not minimum <= value <= maximum:
        raise error(f"`{name}` must lie between {minimum:g} and {maximum:g}, not {value:g}")


def _is_finite(value: Any) -> bool:
    """True for a number that is finite as a float, too."""
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the range of floats
        return False


def _shown(value: object) -> str:
    """The value as in Python, but no int of more digits than Python converts to text."""
    is_long = isinstance(value, int) and value.bit_length() >= 1000
    return "a number of hundreds of digits" if is_long else repr(value)
