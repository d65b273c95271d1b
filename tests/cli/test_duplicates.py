"""`clipsight duplicates` end to end."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from clipsight.search.grouping import BURST_SECONDS, SAME_COSINE
from tests.support.shell import Shell

pytestmark = pytest.mark.slow


@pytest.fixture
def copied(shell: Shell) -> Shell:
    """A shell with an index of photos, of which one has a copy."""
    shutil.copyfile(shell.folder / "photos" / "cat.png", shell.folder / "photos" / "cat copy.png")
    shell.index()
    return shell


def test_table_and_note(copied: Shell) -> None:
    done = copied.run("duplicates", "photos", "--kinds", "exact")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["alike", "size", "format", "bytes", "photo"]
    assert lines[1][0] == "keep" and lines[1][-1] == "cat.png"
    assert lines[2][:2] == ["exact", "1.000"] and lines[2][-2:] == ["cat", "copy.png"]
    assert "clipsight: 1 of 1 groups among 9 photos; beside those to keep, 1 files of " in done.stderr


def test_json_csv_and_paths(copied: Shell) -> None:
    photos = copied.folder / "photos"
    (group,) = json.loads(copied.run("duplicates", "--kinds", "exact", "--json", "-n").stdout)["groups"]
    assert group["keep"]["path"] == str(photos / "cat.png") and group["keep"]["kind"] is None
    assert [other["path"] for other in group["others"]] == [str(photos / "cat copy.png")]
    rows = list(
        csv.DictReader(io.StringIO(copied.run("duplicates", "--kinds", "exact", "--csv", "-n").stdout))
    )
    assert [(row["group"], row["keep"], Path(row["path"]).name) for row in rows] == [
        ("1", "1", "cat.png"),
        ("1", "0", "cat copy.png"),
    ]
    paths = copied.run("duplicates", "--kinds", "exact", "--paths", "-n").stdout
    assert paths == f"{photos / 'cat copy.png'}\n"
    assert copied.run("duplicates", "--kinds", "exact", "-0", "-n").stdout == f"{photos / 'cat copy.png'}\0"


def test_contact_sheet(copied: Shell) -> None:
    copied.run("duplicates", "--kinds", "exact", "--grid", "sheet.png", "-n")
    with Image.open(copied.folder / "sheet.png") as sheet:
        assert sheet.size == (904, 396)
    copied.run("duplicates", "--kinds", "exact", "--offset", "1", "--grid", "none.jpg", "-n")
    assert (copied.folder / "none.jpg").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--kinds", "near"),
        ("--similarity", "2"),
        ("--top", "0"),
        ("--json", "--csv"),
        ("nowhere",),
        ("--grid", "sheet.gif"),
        ("--grid", "photos/cat.png"),
    ],
)
def test_invalid_arguments(copied: Shell, arguments: tuple[str, ...]) -> None:
    copied.run("duplicates", *arguments, code=2)
    with Image.open(copied.folder / "photos" / "cat.png") as photo:
        assert photo.format == "PNG"


def test_no_copies(copied: Shell) -> None:
    done = copied.run("duplicates", "--kinds", "exact", "--offset", "1", "-n")
    assert done.stdout == "" and "clipsight: 0 of 1 groups among 9 photos" in done.stderr


def test_help_names_the_defaults(shell: Shell) -> None:
    text = " ".join(shell.run("duplicates", "--help").stdout.split())
    assert f"(default: {SAME_COSINE:g})" in text and f"(default: {BURST_SECONDS:g})" in text
