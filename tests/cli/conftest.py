"""Shells beside photos, for tests of the commands."""

import os
from pathlib import Path

import pytest

from tests.support.samples import copy_samples
from tests.support.shell import Shell


@pytest.fixture
def shell(photos: Path, tiny_model: Path) -> Shell:
    """A shell beside a folder of photos with known dates."""
    for number, photo in enumerate(sorted(photos.iterdir())):
        os.utime(photo, (1_700_000_000 + 86_400 * number,) * 2)
    return Shell(photos.parent, tiny_model, photos.parent / "home")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shell:
    """A shell with an index, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("indexed")
    copy_samples(folder / "photos")
    shell = Shell(folder, tiny_model, folder / "home")
    shell.index()
    (folder / "photos" / "letter.jpg").write_text("Dear Sir or Madam")
    return shell
