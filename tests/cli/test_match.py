"""`clipsight match` end to end."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.shell import Shell, check_golden

LINES = ["a cat looks at you", "", "two red flowers", "a temple under a blue sky", "  an espresso\tin a cup"]


@pytest.fixture
def texts(shell: Shell) -> Path:
    """A file of texts beside the photos."""
    file = shell.folder / "texts.txt"
    file.write_text("\n".join(LINES))
    return file


@pytest.fixture(name="shell")
def shell_without_index(photos: Path, tiny_model: Path) -> Shell:
    return Shell(photos.parent, tiny_model, photos.parent / "home")


def test_match_prints_a_table(shell: Shell, texts: Path) -> None:
    done = shell.run("match", "photos/cat.png", "--texts", "texts.txt", "--top", "3", "--model", shell.model)
    check_golden("match.txt", done.stdout, shell)
    assert done.stderr == "clipsight: answered by tiny\n"


def test_match_prints_json(shell: Shell, texts: Path) -> None:
    arguments = ("match", "photos/cat.png", "--texts", texts, "--json", "--model", shell.model)
    done = shell.run(*arguments)
    check_golden("match.json", done.stdout, shell)
    found = json.loads(done.stdout)["matches"]
    assert sorted(match["line"] for match in found) == [1, 3, 4, 5]
    assert all(LINES[match["line"] - 1].strip() == match["text"] for match in found)
    assert shell.run(*arguments).stdout == done.stdout
    shutil.rmtree(shell.home / "texts")
    assert shell.run(*arguments).stdout == done.stdout


def test_a_truncated_text_is_noted(shell: Shell) -> None:
    (shell.folder / "long.txt").write_text("a short one\n" + "word " * 200)
    done = shell.run("match", "photos/cat.png", "--texts", "long.txt", "--model", shell.model)
    assert "line 2 was truncated to the model's 77 tokens" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a cat", "--texts", "texts.txt"), "no such photo: a cat"),
        (("photos/none.jpg", "--texts", "texts.txt"), "no such photo: photos/none.jpg"),
        (("photos/cat.png", "--texts", "none.txt"), "can't read none.txt: No such file or directory"),
        (("photos/cat.png", "--texts", "photos/cat.png"), "line 1 is not UTF-8 text"),
        (("./texts.txt", "--texts", "texts.txt"), "not an image"),
        (("photos/cat.png",), "Usage:"),
        (("photos/cat.png", "--texts", "texts.txt", "--top", "0"), "Usage:"),
    ],
)
def test_bad_input(shell: Shell, texts: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in shell.run("match", *arguments, "--model", shell.model, code=2).stderr
