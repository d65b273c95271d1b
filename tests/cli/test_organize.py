"""`clipsight organize --undo` as a user meets it."""

from pathlib import Path

import pytest

from clipsight.organize import LabelledPhoto, Method, organize
from tests.support.shell import Shell, check_golden


@pytest.fixture
def shell(photos: Path, tiny_model: Path) -> Shell:
    """A shell beside photos, two of which were sorted into folders."""
    placed = [
        LabelledPhoto(photos / "cat.png", "cat", 0.9),
        LabelledPhoto(photos / "coffee.png", "coffee", 0.8),
    ]
    organize(placed, photos.parent / "sorted", Method.COPY)
    return Shell(photos.parent, tiny_model, photos.parent / "home")


def test_undo(shell: Shell) -> None:
    done = shell.run("organize", "--undo", "sorted")
    assert (done.stdout, done.stderr) == (
        "",
        "clipsight: removed 2 of the files that clipsight created in sorted\n",
    )
    assert not (shell.folder / "sorted").exists()
    assert len(list((shell.folder / "photos").iterdir())) == 8


def test_undo_tells_what_it_keeps(shell: Shell) -> None:
    (shell.folder / "sorted" / "cat" / "cat.png").write_bytes(b"retouched")
    check_golden("organize.stderr.txt", shell.run("organize", "--undo", "sorted").stderr, shell)
    assert (shell.folder / "sorted" / "cat" / "cat.png").read_bytes() == b"retouched"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--undo", "photos"), "nothing to undo: clipsight has not sorted photos into"),
        (("--undo", "nowhere"), "nothing to undo"),
        (("--undo", "photos/cat.png"), "nothing to undo"),
        ((), "Usage:"),
    ],
)
def test_bad_input(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    assert message in shell.run("organize", *arguments, code=2).stderr
