"""Checks of arguments that Python callers give: one text where several may stand, numbers of 64 bits."""

import os
from collections.abc import Iterable
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


def whole_number(value: Any, name: str, *, error: type[ClipsightError] = QueryError) -> int | None:
    """The argument `name`: None, or a whole number from 0 to 2**63 - 1. Raises `error` for anything else."""
    if value is None or (type(value) is int and 0 <= value <= INT64_MAX):
        return value
    if type(value) is int:
        given = value if value.bit_length() < 1000 else "a number of hundreds of digits"
        raise error(f"`{name}` must lie between 0 and 2**63 - 1, not {given}")
    raise error(f"`{name}` takes a whole number, not {value!r}")
