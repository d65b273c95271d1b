"""ARCHITECTURE.md describes the present code: every name it gives exists, every room is in it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "clipsight"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _rooms() -> set[str]:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    modules = {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")}
    return packages | modules


ROOMS = _rooms()
NAMES = sorted(
    name for name in set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", PAGE)) if name.partition(".")[0] in ROOMS
)


def _defined(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """What a module or class defines by name, with the body of each class."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            found[statement.name] = statement.body
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            found[statement.name] = []
        elif isinstance(statement, ast.Assign):
            found |= {target.id: [] for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = []
    return found


def _exists(name: str) -> bool:
    """Whether a dotted name below `clipsight` is a room, a module, or defined in one; nothing is imported."""
    path, rest = SOURCE, name.split(".")
    while rest and (path / rest[0]).is_dir():
        path /= rest.pop(0)
    if rest and (path / f"{rest[0]}.py").is_file():
        path /= f"{rest.pop(0)}.py"
    else:
        path /= "__init__.py"
    if not path.is_file():
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for part in rest:
        defined = _defined(body)
        if part not in defined:
            return False
        body = defined[part]
    return True


@pytest.mark.parametrize("name", NAMES)
def test_every_name_on_the_page_exists(name: str) -> None:
    assert _exists(name)


def test_wrong_names_are_found() -> None:
    assert len(NAMES) > 50
    assert not _exists("search.no_such_module")
    assert not _exists("search.query.NoSuchClass")
    assert not _exists("search.query.Query.no_such_method")
    assert _exists("search.query.Query.parse")


def test_every_room_is_in_the_table() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert ROOMS - named == set()


def test_every_package_is_named() -> None:
    packages = {
        ".".join(path.parent.relative_to(SOURCE).parts)
        for path in SOURCE.rglob("__init__.py")
        if path.parent != SOURCE
    }
    spans = re.findall(r"`([\w.]+)`", PAGE)
    assert {
        each for each in packages if not any(f"{span}.".startswith(f"{each}.") for span in spans)
    } == set()


def test_floors_are_those_that_import_linter_checks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = (contract["layers"] for contract in contracts if contract["id"] == "floors")
    (block,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block.splitlines() == floors
