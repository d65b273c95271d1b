"""Results whose scores may differ in the last bits: another batch or processor adds in another order."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest


def near(matches: Iterable[Mapping[str, Any]], tolerance: float = 1e-4) -> list[dict[str, Any]]:
    """The matches as they are, but for scores that equal any score within `tolerance`."""
    return [{**match, "score": pytest.approx(match["score"], abs=tolerance)} for match in matches]


def near_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """A whole search result, as `near`."""
    return {**result, "matches": near(result["matches"])}


def check_near_text(found: str, expected: str, tolerance: float = 1e-4) -> None:
    """Compare two texts letter by letter, but numbers with decimals by their value.

    They may differ by `tolerance`, or by one in the last digit that is printed, which rounding may turn.
    """
    assert _with_near_numbers_of(expected, found, tolerance) == expected


_NUMBER = re.compile(r"(-?\d+\.\d+(?:e-?\d+)?|-?\de-\d+)")


def _with_near_numbers_of(expected: str, found: str, tolerance: float) -> str:
    """`found`, each number that is near the one in its place in `expected` written as it is there."""
    words, theirs = _NUMBER.split(found), _NUMBER.split(expected)
    for place in range(1, min(len(words), len(theirs)), 2):
        one, other = words[place], theirs[place]
        if abs(float(one) - float(other)) <= max(tolerance, 1.001 * 10 ** -max(map(_decimals, (one, other)))):
            words[place] = other
    return "".join(words)


def _decimals(number: str) -> int:
    return len(number.partition("e")[0].partition(".")[2])
