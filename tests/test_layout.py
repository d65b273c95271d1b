"""Tests are found by name: room/test_module.py, or room/test_module_aspect.py, tests room/module.py."""

import re
from pathlib import Path

import clipsight

TESTS = Path(__file__).parent
SOURCE = Path(clipsight.__file__).parent

FOLDERS = {
    "docs": "README.md and docs",
    "durability": "the library under kills, power cuts and disks that fail",
    "recipes": "recipes",
}
"""Folders of tests of something else than the package's modules, with what they test."""

OTHERS = {
    "cli/test_any_value.py": "every option and argument with any value",
    "cli/test_python_calls.py": "every command as a call of Library",
    "explain/test_pointing.py": "how well every method points at what is named",
    "test_architecture.py": "ARCHITECTURE.md",
    "test_examples.py": "examples/",
    "test_deprecated.py": "names of the last release",
    "test_layout.py": "the tests",
    "test_numbers.py": "every number in a Python call",
    "test_words.py": "the docstrings",
    "web/api/test_api.py": "the HTTP API over all its modules",
    "web/api/test_openapi.py": "the schema of the HTTP API",
    "web/page/test_browser.py": "the page in a real browser",
    "web/page/test_scripts.py": "the page's pure modules in node, and its texts",
}
"""Test modules of no one module of the package, with what they test."""

_TORCH = re.compile(r"^(import|from) (torch|tests\.support\.(clip_weights|checkpoints))\b", re.MULTILINE)


def test_tests_mirror_the_package() -> None:
    found = {str(file.relative_to(TESTS)): file for file in sorted(TESTS.rglob("test_*.py"))}
    for name, file in found.items():
        if name.partition("/")[0] in FOLDERS:
            continue
        words = file.stem.split("_")[1:]  # of the module, perhaps followed by an aspect of it
        tested = [(SOURCE / name).with_name("_".join(words[:count])) for count in range(1, len(words) + 1)]
        is_module = any(each.with_suffix(".py").exists() or each.is_dir() for each in tested)
        assert is_module != (name in OTHERS), f"tests/{name} is of no module, or is and is among OTHERS"
    assert set(OTHERS) <= set(found), "a test module of OTHERS is gone"


def test_what_imports_torch_is_marked_so() -> None:
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        assert "mark.torch" in text or not _TORCH.search(text), f"{file} needs pytestmark = pytest.mark.torch"
