"""Results whose scores may differ in the last bits: another batch or processor adds in another order."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest


def near(matches: Iterable[Mapping[str, Any]], tolerance: float = 1e-4) -> list[dict[str, Any]]:
    """The matches as they are, but for scores that equal any score within `tolerance`."""
    return [{**match, "score": pytest.approx(match["score"], abs=tolerance)} for match in matches]
