"""constraints-dev.txt pins every development tool, at a version that pyproject.toml allows."""

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import lock


def test_every_tool_is_pinned_at_an_allowed_version() -> None:
    lines = lock.CONSTRAINTS.read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for tool in lock.tools():
        pinned = pins.get(canonicalize_name(tool.name))
        assert pinned is not None, f"{tool.name} is not pinned: python -m scripts.lock"
        assert pinned in tool.specifier, f"{tool}: {pinned} is pinned"
    assert {"ruff", "mypy", "pytest", "import-linter", "mkdocs", "pluggy"} <= pins.keys()


def test_what_clipsight_runs_on_is_not_pinned() -> None:
    pins = {Requirement(line).name for line in lock.CONSTRAINTS.read_text().splitlines() if "==" in line}
    assert not pins & {"numpy", "pillow", "torch", "onnxruntime", "faiss-cpu", "typer"}
