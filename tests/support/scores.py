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
    """Compare two texts letter by letter, but numbers with a decimal point by their value."""
    pattern = r"(\d+\.\d+)"
    words = zip(re.split(pattern, found), re.split(pattern, expected), strict=True)
    for position, (word, same) in enumerate(words):
        assert word == same if position % 2 == 0 else float(word) == pytest.approx(float(same), abs=tolerance)
