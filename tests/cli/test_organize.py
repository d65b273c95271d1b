"""`clipsight organize --undo` end to end."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from clipsight.organize import LabelledPhoto, Method, organize
from tests.support import photo_files
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


@pytest.mark.slow
def test_photos_are_sorted_by_label(photos: Path, tiny_model: Path) -> None:
    shell = Shell(photos.parent, tiny_model, photos.parent / "home")
    sort = ("organize", "photos", "out put", "--labels", "cat,rocket")
    done = shell.run(*sort, "--dry-run")
    assert "8 photos would be sorted into out put\n" in done.stdout and "undo" not in done.stdout
    assert not (shell.folder / "out put").exists()
    done = shell.run(*sort)
    assert done.stdout.endswith(
        "8 photos sorted into out put; to undo: clipsight organize --undo 'out put'\n"
    )
    found = {path.name: path.parent.name for path in (shell.folder / "out put").glob("*/*")}
    assert len(found) == 8 and set(found.values()) <= {"cat", "rocket"}
    counts = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines()[1:-1])
    assert {name: int(count) for name, count in counts.items()} == Counter(found.values())
    assert "0 photos sorted into out put, 8 there already" in shell.run(*sort, "-n").stdout
    label, count = Counter(found.values()).most_common(1)[0]
    kept = shell.run("search", "a thing", "-n", "--paths", "--label", label).stdout.splitlines()
    assert len(kept) == count  # labels are kept, as `classify --labels` does
    shell.run("organize", "--undo", "out put")
    assert not (shell.folder / "out put").exists() and len(list(photos.iterdir())) == 8


@pytest.mark.slow
def test_photos_are_sorted_by_date_and_camera(photos: Path, tiny_model: Path) -> None:
    shell = Shell(photos.parent, tiny_model, photos.parent / "home")
    for name, taken, camera in (
        ("a.jpg", "2019:05:12 10:00:00", "Seagull"),
        ("b.jpg", "2020:01:02 03:04:05", None),
    ):
        tags = {0x0132: taken, **({0x0110: camera} if camera else {})}
        Image.new("RGB", (64, 48), "red").save(photos / name, exif=photo_files.exif(tags))
    done = shell.run("organize", "photos", "months", "--by", "date", "--symlink")
    assert "10 photos sorted into months" in done.stdout
    links = {path.name: path.parent.name for path in (shell.folder / "months").glob("*/*")}
    assert (links["a.jpg"], links["b.jpg"]) == ("2019-05", "2020-01") and len(links) == 10
    done = shell.run("organize", "photos", "cameras", "--by", "camera", "-n")
    assert "1 photos sorted into cameras, 9 without a camera" in done.stdout
    assert [path.name for path in (shell.folder / "cameras" / "Seagull").iterdir()] == ["a.jpg"]
    done = shell.run("organize", "photos", "photos/sorted", "--by", "date", "-n", code=2)
    assert "is in the photo folder" in done.stderr


def test_undo(shell: Shell) -> None:
    done = shell.run("organize", "--undo", "sorted")
    assert (done.stdout, done.stderr) == (
        "",
        "clipsight: removed 2 of the files that clipsight created in sorted\n",
    )
    assert not (shell.folder / "sorted").exists()
    assert len(list((shell.folder / "photos").iterdir())) == 8


def test_undo_reports_the_files_it_keeps(shell: Shell) -> None:
    (shell.folder / "sorted" / "cat" / "cat.png").write_bytes(b"retouched")
    check_golden("organize.stderr.txt", shell.run("organize", "--undo", "sorted").stderr, shell)
    assert (shell.folder / "sorted" / "cat" / "cat.png").read_bytes() == b"retouched"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--undo", "photos"), "nothing to undo: clipsight has not sorted photos into"),
        (("--undo", "nowhere"), "nothing to undo"),
        (("--undo", "photos/cat.png"), "nothing to undo"),
        ((), "name the folder of the photos"),
        (("photos",), "name the folder of the photos"),
        (("photos", "out"), "--by label needs --labels"),
        (("photos", "out", "--labels", "cat"), "neither a file of labels nor a list"),
        (("photos", "out", "--by", "date", "--labels", "cat,dog"), "are for --by label"),
        (("photos", "out", "--by", "camera", "--unknown"), "are for --by label"),
        (("photos", "out", "--by", "date", "--copy", "--symlink"), "choose one of --copy"),
        (("nowhere", "out", "--by", "date"), "no such folder: "),
        (("photos", "", "--by", "date"), "argument 3 is empty"),
        (("--undo", "sorted", "photos"), "--undo takes one folder"),
        (("--undo", "sorted", "--dry-run"), "--undo takes one folder"),
    ],
)
def test_bad_input(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    assert message in shell.run("organize", *arguments, code=2).stderr
