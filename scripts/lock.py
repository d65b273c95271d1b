"""Pins of the development tools: writes constraints-dev.txt from what is installed.

Run `python -m scripts.lock` in an environment with the extra `[dev]`, after the tools that are to change were
upgraded and the tests have passed. A tool is pinned with everything it depends on, except what clipsight
itself runs on: those versions stay open, as they are for users.
"""

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints-dev.txt"

LIBRARIES = {"httpx2", "onnx", "playwright", "safetensors", "tensorboardx", "torch", "transformers"}
"""Requirements of `[dev]` that tests import: large or bound to a platform, so their versions stay open."""

OLDEST_PYTHON = "3.11.0"
"""pip refuses a version that asks for a later patch release, such as 3.11.5, on Debian's 3.11.2."""

_HEADER = """\
# Versions of the development tools, for `pip install -c constraints-dev.txt -e '.[dev]'`.
# Written by `python -m scripts.lock`; do not edit by hand.
"""


def tools() -> list[Requirement]:
    """Return what the extras `[dev]` and `[docs]` name and constraints-dev.txt pins."""
    extras = _project()["optional-dependencies"]
    named = [Requirement(line) for line in [*extras["dev"], *extras["docs"]]]
    return [each for each in named if canonicalize_name(each.name) not in LIBRARIES | {"clipsight"}]


def constraints() -> str:
    """Return the text of constraints-dev.txt for this environment.

    Raises PackageNotFoundError where the extra `[dev]` is not installed, and ValueError for a version that
    does not support the oldest Python of clipsight: install an older one.
    """
    project = _project()
    extras = project["optional-dependencies"]
    runtime = [project["dependencies"], *(extras[name] for name in extras if name not in ("dev", "docs"))]
    libraries = [line for line in extras["dev"] if canonicalize_name(Requirement(line).name) in LIBRARIES]
    not_pinned = _closure(Requirement(line) for lines in (*runtime, libraries) for line in lines)
    pinned = _closure(tools()) - not_pinned | {canonicalize_name(tool.name) for tool in tools()}
    for name in pinned:
        supported = str(metadata(name).json.get("requires_python", ""))
        if OLDEST_PYTHON not in SpecifierSet(supported):
            raise ValueError(f"{name} {version(name)} needs Python {supported}, not {OLDEST_PYTHON}")
    return _HEADER + "".join(f"{name}=={version(name)}\n" for name in sorted(pinned))


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _closure(roots: Iterable[Requirement]) -> set[str]:
    """Return the installed packages that `roots` lead to, themselves included, by canonical name."""
    found: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in found or name == "clipsight":
                continue
            try:
                needed = requires(name) or []
            except PackageNotFoundError:
                continue
            found.add((name, extra))
            waiting += [
                each
                for each in map(Requirement, needed)
                if each.marker is None or each.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in found}


if __name__ == "__main__":
    CONSTRAINTS.write_text(constraints(), encoding="utf-8")
    print(f"{CONSTRAINTS.name} written", file=sys.stderr)
