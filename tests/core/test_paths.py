"""The folders of clipsight's own files: those of platformdirs, found without importing it."""

from pathlib import Path

import platformdirs
import pytest

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
def test_the_environment_names_another(value: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPSIGHT_HOME", value)
    assert paths.home() == home and paths.home_dir() == str(home)
    assert paths.default_library() == home / "library" == Path(paths.default_library_dir())
    assert paths.models_folder() == home / "models"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_paths_for_people(path: str, inside: str | None, expected: str) -> None:
    assert paths.short(path, Path(inside) if inside else None, home="/home/ann") == expected


def test_a_home_that_is_everything_is_none() -> None:
    assert paths.short("/x/a.jpg", home="/") == "/x/a.jpg" and paths.short("/", home="/") == "/"


def test_the_home_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/bob")
    assert paths.short("/home/bob/a.jpg") == "~/a.jpg"
