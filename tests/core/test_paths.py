"""Paths as users write them, in any Unicode form, and the folders of clipsight's own files."""

import ast
import os
import unicodedata
from pathlib import Path

import platformdirs
import pytest

import clipsight
from clipsight.core import paths


@pytest.mark.parametrize("value", [None, "", " ", "/somewhere", "~/somewhere", "relative"])
def test_the_data_folder_is_that_of_platformdirs(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIPSIGHT_HOME")
    if value is None:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_DATA_HOME", value)
    assert paths.home_dir() == platformdirs.user_data_dir("clipsight")


@pytest.mark.parametrize(("value", "home"), [("/somewhere", Path("/somewhere")), ("~/x", Path.home() / "x")])
def test_an_environment_variable_sets_the_data_folder(
    value: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPSIGHT_HOME", value)
    assert paths.home() == home and paths.home_dir() == str(home)
    assert paths.default_library() == home / "library" == Path(paths.default_library_dir())
    assert paths.models_folder() == home / "models"


def test_an_empty_environment_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPSIGHT_HOME", "")
    assert paths.home_dir() == platformdirs.user_data_dir("clipsight")


@pytest.mark.parametrize(
    ("path", "inside", "expected"),
    [
        ("/home/ann/Pictures/2024/a.jpg", None, "~/Pictures/2024/a.jpg"),
        ("/home/ann/Pictures/2024/a.jpg", "/home/ann/Pictures", "2024/a.jpg"),
        ("/home/ann/Pictures/2024/a.jpg", "/home/ann/Pictures/", "2024/a.jpg"),
        ("/home/ann/Pictures/a.jpg", "/home/ann/Pic", "~/Pictures/a.jpg"),
        ("/home/anna/a.jpg", None, "/home/anna/a.jpg"),
        ("/home/ann", None, "~"),
        ("/media/usb/a.jpg", "/media/usb", "a.jpg"),
        ("/media/usb/a.jpg", "/", "/media/usb/a.jpg"),
        ("photos/a.jpg", None, "photos/a.jpg"),
    ],
)
def test_paths_are_shortened_for_display(path: str, inside: str | None, expected: str) -> None:
    assert paths.short(path, Path(inside) if inside else None, home="/home/ann") == expected


def test_paths_are_not_shortened_if_the_home_is_the_root() -> None:
    assert paths.short("/x/a.jpg", home="/") == "/x/a.jpg" and paths.short("/", home="/") == "/"


def test_paths_in_the_users_home_are_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/bob")
    assert paths.short("/home/bob/a.jpg") == "~/a.jpg"


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("typed", "stored"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_names_in_another_unicode_form(
    typed: str, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / stored / "sub").mkdir(parents=True)
    file = tmp_path / stored / "sub" / f"{stored}.jpg"
    file.touch()
    assert str(paths.expand(tmp_path / typed / "sub" / f"{typed}.jpg")) == str(file)
    assert str(paths.expand(tmp_path / stored / "sub" / f"{stored}.jpg")) == str(file)
    assert paths.find_file(str(tmp_path / typed / "sub" / f"{typed}.jpg")) == file
    monkeypatch.chdir(tmp_path)
    assert str(paths.expand(typed)) == stored
    assert str(paths.expand(f"./{typed}/../{typed}")) == f"{stored}/../{stored}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(paths.expand(f"~/{typed}")) == str(tmp_path / stored)


def test_an_exact_name_is_preferred(tmp_path: Path) -> None:
    for name in (COMPOSED, DECOMPOSED):
        (tmp_path / name).mkdir()
    if len(os.listdir(tmp_path)) < 2:
        pytest.skip("this file system has one form")
    for name in (COMPOSED, DECOMPOSED):
        assert str(paths.expand(tmp_path / name)) == str(tmp_path / name)


@pytest.mark.parametrize(
    "text", ["", "caf\u00e9/none", "/none/caf\u00e9", "\u00e9\0", "\u00e9" * 300, "~nobody\u00e9/x", "\udce9"]
)
def test_paths_that_do_not_exist_are_unchanged(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.expand(text) == Path(text)
    assert text == "" or paths.find(text) is None


@pytest.mark.slow
def test_no_method_of_path_that_raises_for_any_name() -> None:
    """These raise for a name that is too long or in a folder that can't be entered; `os.path` says False."""
    package = Path(clipsight.__file__).parent
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
                method, owner = node.func.attr, ast.unparse(node.func.value)
                entry = owner == "entry" and method in ("is_file", "is_dir")  # of os.scandir
                forbidden = method in ("exists", "is_file", "is_dir", "expanduser") and not entry
                assert not forbidden, f"{file}:{node.lineno}: {owner}.{method}(): use os.path"
