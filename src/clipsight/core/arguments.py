"""Checks of arguments that Python callers give: one text where several may stand, numbers."""

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
    """The items of the argument `name`, of which one text (or path, if `paths`) is one item, not its letters.

    Raises `error` for anything but texts (or paths), and for an empty path.
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
    least: int = 0,
    required: bool = False,
    error: type[ClipsightError] = QueryError,
) -> int | None:
    """The argument `name`: a whole number from `least` to 2**63 - 1, or None unless it is `required`.

    Raises `error` for anything else: True is no number.
    """
    if (value is None and not required) or (type(value) is int and least <= value <= INT64_MAX):
        return value
    if type(value) is not int:
        raise error(f"`{name}` takes a whole number, not {value!r}")
    if 0 <= value < least:
        raise error(f"`{name}` must be at least {least} (got {value})")
    given = value if value.bit_length() < 1000 else "a number of hundreds of digits"
    raise error(f"`{name}` must lie between {least} and 2**63 - 1, not {given}")


def number(
    value: Any,
    name: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    error: type[ClipsightError] = QueryError,
) -> None:
    """Raise `error` unless the argument `name` is a finite number from `least` to `most`; True is none."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not (-math.inf < value < math.inf):
        raise error(f"`{name}` takes a finite number, not {value!r}")
    if not least <= value <= most:
        raise error(f"`{name}` must lie between {least:g} and {most:g}, not {value:g}")
