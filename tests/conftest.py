"""Fixtures shared by all tests: a home of their own, real photos, a tiny model, a library."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipsight import Library


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own CLIPSIGHT_HOME, and no test asks the real hub for anything."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CLIPSIGHT_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    return folder


def package_folder(name: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


SAMPLES = {
    "astronaut.png": package_folder("skimage") / "data" / "astronaut.png",
    "cat.png": package_folder("skimage") / "data" / "chelsea.png",
    "coffee.png": package_folder("skimage") / "data" / "coffee.png",
    "motorcycle.png": package_folder("skimage") / "data" / "motorcycle_left.png",
    "rocket.jpg": package_folder("skimage") / "data" / "rocket.jpg",
    "galaxies.jpg": package_folder("skimage") / "data" / "hubble_deep_field.jpg",
    "temple.jpg": package_folder("sklearn") / "datasets" / "images" / "china.jpg",
    "flower.jpg": package_folder("sklearn") / "datasets" / "images" / "flower.jpg",
}
"""Real photos that ship inside scikit-image and scikit-learn, by the name tests give them."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with the real sample photos."""
    return copy_samples(tmp_path / "photos")


def copy_samples(folder: Path) -> Path:
    """Make `folder` and put the real sample photos there."""
    folder.mkdir()
    for name, source in SAMPLES.items():
        shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that embeds in microseconds: same colours, near vectors."""
    from tiny_models import make_model_folder

    return make_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def library(tmp_path: Path, tiny_model: Path) -> Iterator[Library]:
    """An empty library of the tiny model."""
    with Library.open(tmp_path / "library", model=str(tiny_model)) as opened:
        yield opened
