"""Optional dependencies: imported, or named in an error with the extra to install."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

import clipsight
from clipsight.core.errors import LabelError, LibraryError, ModelError
from clipsight.core.extras import TORCH_FOR_CPU, how_to_install, require
from clipsight.explain.registry import METHODS


def test_the_last_module_is_returned() -> None:
    assert require("probe", "json.decoder", "json") is sys.modules["json"]


def test_all_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "sklearn.linear_model"):  # another test may have imported it
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LabelError) as caught:
        require("probe", "sklearn.linear_model", "json", "no_such_module.part")
    message = "probes need scikit-learn and no_such_module: pip install '.[probe]' in the clone of clipsight"
    assert str(caught.value) == message


def test_purpose_and_error_can_be_replaced() -> None:
    with pytest.raises(ModelError, match=r"^exporting needs absent: pip install '\.\[parquet\]' in the "):
        require("parquet", "absent", purpose="exporting needs", error=ModelError)
    with pytest.raises(LibraryError, match=r"^Parquet files need absent: "):
        require("parquet", "absent")


def test_a_module_that_imports_a_missing_package_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "importer_of_absent.py").write_text("import absent_package.part\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LabelError, match="need absent_package: "):
        require("probe", "importer_of_absent")


def test_an_error_of_the_package_itself_is_not_hidden() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_room"):
        require("train", "clipsight.no_such_room")


def test_every_extra_that_an_error_names_exists() -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = declared["project"]["optional-dependencies"]
    sources = Path(clipsight.__file__).parent.rglob("*.py")
    texts = [file.read_text(encoding="utf-8") for file in sources]
    named = {name for text in texts for name in re.findall(r"(?:require|how_to_install)\([\"'](\w+)", text)}
    named |= {method.needs for method in METHODS.values()} - {""}
    assert named >= {"demo", "explain", "parquet", "probe", "train", "web"}
    assert named <= set(extras)
    root = Path(__file__).parents[2]
    texts += [file.read_text(encoding="utf-8") for file in (root / "README.md", *root.glob("docs/**/*.md"))]
    assert not any("clipsight[" in text for text in texts), "the package is not published: how_to_install"


def test_pytorch_for_cpus_comes_first() -> None:
    assert how_to_install("train").endswith(f"(for CPUs only, before it: {TORCH_FOR_CPU})")
    assert how_to_install("web") == "pip install '.[web]' in the clone of clipsight"
