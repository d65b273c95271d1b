"""Wording of docstrings: they begin with a noun phrase or an imperative, and name no callers."""

import ast
import re
from pathlib import Path

import clipsight

ROOT = Path(clipsight.__file__).parent

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


def test_docstrings_open_with_a_noun_phrase_or_an_imperative_and_name_no_callers() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {text.strip()[:60]!r}"
        for file in sorted(ROOT.rglob("*.py"))
        for line, text in docstrings(file)
        if _QUESTION.match(text.strip()) or "Called by" in text
    ]
    assert wrong == []
