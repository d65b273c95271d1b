"""Validation of arguments of public calls: one string or several, whole numbers, finite numbers."""

import math
import os
from collections.abc import Iterable
from numbers import Real
from typing import Any

from clipsight.core.errors import ClipsightError, QueryError

INT64_MAX = 2**63 - 1


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
    required: bool = False,
    error: type[ClipsightError] = QueryError,
) -> int | None:
    """The argument `name`: an int from `minimum` to 2**63 - 1, or None unless it is `required`.

    Raises `error` for anything else, bool included.
    """
    if (value is None and not required) or (type(value) is int and minimum <= value <= INT64_MAX):
        return value
    if type(value) is not int:
        raise error(f"`{name}` takes a whole number, not {value!r}")
    if 0 <= value < minimum:
        raise error(f"`{name}` must be at least {minimum} (got {value})")
    given = value if value.bit_length() < 1000 else "a number of hundreds of digits"
    raise error(f"`{name}` must lie between {minimum} and 2**63 - 1, not {given}")


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
    if not is_number or not (-math.inf < value < math.inf):
        raise error(f"`{name}` takes a finite number, not {value!r}")
    if not minimum <= value <= maximum:
        raise error(f"`{name}` must lie between {minimum:g} and {maximum:g}, not {value:g}")
