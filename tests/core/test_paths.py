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
