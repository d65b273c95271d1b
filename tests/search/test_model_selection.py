"""A library of the builtin model is switched to the builtin model of a later version of clipsight."""

import shutil
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.core.errors import ModelError
from clipsight.models import registry
from tests.support.samples import SAMPLES
from tests.support.tiny_models import make_model_folder


@pytest.fixture
def old(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of two folders made with a builtin model that has been replaced since."""
    first, second = (
        make_model_folder(tmp_path / name / "builtin", seed=seed) for name, seed in (("1", 3), ("2", 4))
    )
    monkeypatch.setattr(registry, "builtin_folder", lambda: first)
    monkeypatch.setattr(registry, "_builtin_path", lambda: first)
    shutil.copytree(photos, tmp_path / "trip")
    with Library.open(tmp_path / "old", model="builtin") as library:
        library.index(photos)
        library.index(tmp_path / "trip")
    monkeypatch.setattr(registry, "builtin_folder", lambda: second)
    monkeypatch.setattr(registry, "_builtin_path", lambda: second)
    return tmp_path / "old"


@pytest.mark.slow
def test_a_search_with_an_outdated_model_says_what_to_do(old: Path) -> None:
    with (
        Library.open(old) as library,
        pytest.raises(ModelError, match=r"earlier edition.*: clipsight index$"),
    ):
        library.search("a cat")


@pytest.mark.slow
def test_index_embeds_everything_again_and_notes_it_once(old: Path) -> None:
    notes: list[str] = []
    with Library.open(old, note=notes.append) as library:
        library.index()
        assert [note for note in notes if "newer edition" in note] == notes
        assert len(notes) == 1
        assert library.status().next_model is None
        assert len(library.search("a cat", top=50, duplicates=True)) == 2 * len(SAMPLES)
    again: list[str] = []
    with Library.open(old, note=again.append) as library:
        library.index()
        assert len(library.search("a cat", top=50, duplicates=True)) == 2 * len(SAMPLES)
    assert again == []


@pytest.mark.slow
def test_an_interrupted_switch_resumes_and_is_not_announced_again(old: Path, photos: Path) -> None:
    notes: list[str] = []
    with Library.open(old, note=notes.append) as library:
        library.index(photos)
        assert library.status().to_embed == len(SAMPLES)
    assert ["newer edition" in note for note in notes] == [True, False]
    assert notes[1].endswith("photos are not found until they are embedded again too: clipsight index")
    resumed: list[str] = []
    with Library.open(old, note=resumed.append) as library:
        reports = library.index()
        assert sum(report.embedded for report in reports) <= len(SAMPLES)
        assert len(library.search("a cat", top=50, duplicates=True)) == 2 * len(SAMPLES)
    assert resumed == []


@pytest.mark.usefixtures("old")
@pytest.mark.slow
def test_another_model_of_the_library_is_not_replaced(library: Library, photos: Path) -> None:
    library.index(photos)
    assert library.model == "tiny"
    library.index(photos)
    assert library.status().next_model is None
