"""The words of the docstrings: they open with a noun phrase or an imperative, and name no callers."""

import ast
import re
from pathlib import Path

import clipsight

ROOT = Path(clipsight.__file__).parent

UNCLEAN = frozenset(
    [
        "core",
        "maintenance",
        "store",
    ]
)
"""Rooms whose docstrings are still to be mended; a room that is clean may not be among them."""

_QUESTION = re.compile(r"(What|Which|How|Whether|Where|Who|Why)\b")


def docstrings(file: Path) -> list[tuple[int, str]]:
    """Every docstring of a module, those of attributes too, with its line."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        (node.lineno, node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def faults() -> dict[str, list[str]]:
    """For each room with any, the places of docstrings that ask a question or name their callers."""
    found: dict[str, list[str]] = {}
    for file in sorted(ROOT.rglob("*.py")):
        room = file.relative_to(ROOT).parts[0]
        for line, text in docstrings(file):
            if _QUESTION.match(text.strip()) or "Called by" in text:
                found.setdefault(room, []).append(f"{file.relative_to(ROOT)}:{line}: {text.strip()[:60]!r}")
    return found


def test_docstrings_open_with_a_noun_phrase_or_an_imperative_and_name_no_callers() -> None:
    wrong = faults()
    assert [place for room, places in wrong.items() if room not in UNCLEAN for place in places] == []
    assert set(UNCLEAN) <= set(wrong), "a clean room: take it off the list"
