"""Folders by id: only those below the roots can be named."""

import os
from pathlib import Path

import pytest

from clipsight.core.errors import LibraryError, NotFoundError
from clipsight.web.service import folders as module
from clipsight.web.service.folders import Folders, folder_id


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("root/a/deep", "root/b", "root/.hidden", "root/@eaDir", "elsewhere/secret"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / "file.jpg").write_bytes(b"")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "in").symlink_to(tmp_path / "root" / "b")
    return tmp_path / "root"


def _names(folders: Folders, id_: str) -> list[str]:
    return [folder.name for folder in folders.children(id_)]


def test_folders_are_found_step_by_step(root: Path) -> None:
    folders = Folders([root])
    (top,) = folders.roots
    assert top.path == root.resolve()
    assert _names(folders, top.id) == ["a", "b", "in"]  # neither hidden ones nor the link that leads out
    a = folders.children(top.id)[0]
    assert _names(folders, a.id) == ["deep"]
    assert folders.path(a.id) == os.fsencode(root / "a")


def test_ids_of_folders_that_were_not_listed_are_refused(root: Path, tmp_path: Path) -> None:
    folders = Folders([root])
    for path in (root / "a", tmp_path, tmp_path / "elsewhere", Path("/etc"), root / ".." / "elsewhere"):
        with pytest.raises(NotFoundError):
            folders.children(folder_id(os.fsencode(path)))
    for id_ in ("", "..", "/etc", "%2e%2e", "../../etc", "a" * 5000, "\0", str(root)):
        with pytest.raises(NotFoundError):
            folders.path(id_)


def test_a_folder_that_becomes_a_link_out_is_refused(root: Path, tmp_path: Path) -> None:
    folders = Folders([root])
    a = folders.children(folders.roots[0].id)[0]
    (root / "a" / "deep").rmdir()
    (root / "a").rmdir()
    (root / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotFoundError):
        folders.path(a.id)
    with pytest.raises(NotFoundError):
        folders.children(a.id)


def test_an_indexed_folder_can_be_named_but_not_listed(root: Path, tmp_path: Path) -> None:
    folders = Folders([root])
    other = os.fsencode(tmp_path / "elsewhere")
    assert folders.path(folder_id(other), [other]) == other
    with pytest.raises(NotFoundError):
        folders.children(folder_id(other))


def test_a_folder_whose_name_begins_like_a_root_is_outside_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "root2").mkdir()
    (root / "c").symlink_to(tmp_path / "root2")
    folders = Folders([root])
    assert "c" not in _names(folders, folders.roots[0].id)


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="roots"):
        Folders([tmp_path / "nowhere"])


def test_only_the_folders_listed_last_can_be_named_and_always_the_roots(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_LISTED", 2)
    folders = Folders([root])
    (top,) = folders.roots
    a, b, _ = folders.children(top.id)  # the third has evicted the first
    with pytest.raises(NotFoundError, match="list the folders again"):
        folders.path(a.id)
    assert folders.path(b.id) == os.fsencode(root / "b")
    assert folders.path(top.id) == os.fsencode(root)
