"""Files written whole or not at all; lines of CSV."""

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core import files
from clipsight.core.errors import LabelError, LibraryError
from clipsight.core.files import atomic_write, csv_line


def test_the_file_appears_with_the_end_of_the_block(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with atomic_write(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old" and temporary.parent == tmp_path
    assert file.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


def test_any_exception_leaves_the_old_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(file) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_errors_of_the_system_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "a.txt"
    message = f"can't write {file}: No such file or directory"
    with pytest.raises(LibraryError) as caught, atomic_write(file) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == message
    with pytest.raises(LabelError) as other, atomic_write(file, error=LabelError) as temporary:
        temporary.write_text("new")
    assert str(other.value) == message


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(Path("real") / "file")
    with atomic_write(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "file").read_text() == "new"


def test_content_is_on_disk_before_the_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Path, bool]] = []
    file = tmp_path / "a.txt"
    monkeypatch.setattr(files, "sync", lambda path: calls.append((path, file.exists())))
    with atomic_write(file) as temporary:
        temporary.write_text("new")
    assert calls == [(temporary, False), (tmp_path, True)]


def test_a_folder_that_can_not_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = files.sync

    def refuse_folders(path: Path) -> None:
        if path.is_dir():
            raise OSError("not supported")
        sync(path)

    monkeypatch.setattr(files, "sync", refuse_folders)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2))
def test_a_csv_line_reads_back_as_one_row(cells: list[str]) -> None:
    assert list(csv.reader(io.StringIO(csv_line(cells) + "\n", newline=""))) == [cells]
