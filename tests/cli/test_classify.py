"""`clipsight classify` end to end: golden text, one-line errors, exit codes, written files."""

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.samples import SAMPLES, copy_samples
from tests.support.shell import Shell, check_golden
from tests.support.tiny_models import make_model_folder

FOUR = ("photos/cat.png", "photos/coffee.png", "photos/rocket.jpg", "photos/flower.jpg")
LABELS = ("a cat", "a cup of coffee", "a rocket")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell with an index of real photos and of one that is none; a low scale spreads probabilities."""
    folder = tmp_path_factory.mktemp("classify")
    model = make_model_folder(folder / "model", name="tiny", clipsight={"logit_scale": 5.0})
    copy_samples(folder / "photos")
    (folder / "photos" / "letter.jpg").write_text("Dear Sir or Madam")
    (folder / "empty.txt").write_text("")
    (folder / "labels.txt").write_text("cat\ncup of coffee\nrocket\nflower\n")
    (folder / "blank.txt").write_text("cat\n  \ndog\n")
    shell = Shell(folder, model, folder / "home")
    shell.index()
    return shell


@pytest.mark.slow
def test_table(shell: Shell) -> None:
    done = shell.run("classify", *FOUR, *LABELS)
    check_golden("classify.txt", done.stdout, shell)
    check_golden("classify.stderr.txt", done.stderr, shell)


def test_json_and_csv(shell: Shell) -> None:
    done = shell.run("classify", *FOUR, "--labels", "labels.txt", "--json")
    check_golden("classify.json", done.stdout, shell)
    whole = json.loads(done.stdout)
    assert [photo["path"] for photo in whole["photos"]] == list(FOUR) and len(whole["templates"]) == 7
    done = shell.run("classify", *FOUR, "--labels", "labels.txt", "--csv")
    check_golden("classify.csv", done.stdout, shell)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    for row, photo in zip(rows, whole["photos"], strict=True):
        assert {label: float(row[label]) for label in whole["labels"]} == photo["probabilities"]


def test_top_of_many_labels(shell: Shell) -> None:
    many = ",".join(f"thing {number}" for number in range(40))
    done = shell.run("classify", *FOUR, "--labels", many, "--top", "2", "--template", "{}")
    check_golden("classify.top.txt", done.stdout, shell)
    done = shell.run("classify", *FOUR, "--labels", many, "--top", "2", "--template", "{}", "--csv")
    check_golden("classify.top.csv", done.stdout, shell)


def test_colours_only_on_a_terminal(shell: Shell) -> None:
    assert "\x1b" not in shell.run("classify", *FOUR, *LABELS).stdout
    coloured = shell.run("classify", *FOUR, *LABELS, FORCE_COLOR="1", COLORTERM="truecolor", TERM="xterm")
    assert coloured.stdout.count("48;2;") == 12


def test_folders_are_indexed_first_by_default(shell: Shell) -> None:
    copy_samples(shell.folder / "more")
    done = shell.run("classify", "more", *LABELS, "-n", code=2)
    assert "has not been indexed" in done.stderr
    done = shell.run("classify", "more", *LABELS, "--csv")
    assert len(done.stdout.splitlines()) == 9
    (shell.folder / "more" / "cat.png").unlink()
    assert len(shell.run("classify", "more", *LABELS, "-n", "--csv").stdout.splitlines()) == 9
    assert len(shell.run("classify", "more", *LABELS, "--csv").stdout.splitlines()) == 8
    shell.run("forget", "more")
    shutil.rmtree(shell.folder / "more")


def test_failures_are_noted(shell: Shell) -> None:
    done = shell.run("classify", "photos", *LABELS, "--json")
    assert re.search(r"not classified: .*/photos/letter\.jpg: not an image: ", done.stderr)
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure["path"].endswith("photos/letter.jpg") and failure["reason"].startswith("not an image")
    done = shell.run("classify", "photos/letter.jpg", "photos/cat.png", *LABELS)
    assert "not classified: photos/letter.jpg" in done.stderr and "photos/cat.png" in done.stdout
    for options in ((), ("--json",), ("--csv",)):
        done = shell.run("classify", "photos/letter.jpg", *LABELS, *options, code=2)
        assert "no photo could be classified: photos/letter.jpg: not an image" in done.stderr
        assert done.stdout == ""


def test_the_whole_library(shell: Shell) -> None:
    library = shell.home / "library"
    done = shell.run("classify", "--library", library, "--labels", "labels.txt", "--csv")
    assert len(done.stdout.splitlines()) == 9
    done = shell.run("classify", "--library", "photos", "--labels", "labels.txt", "--csv")
    assert "contains photos, not an index" in done.stderr and len(done.stdout.splitlines()) == 9
    assert not (shell.folder / "photos" / "catalog.sqlite3").exists()
    done = shell.run("classify", "--library", "new", "--labels", "labels.txt", "--model", shell.model, code=2)
    assert "no folder has been indexed yet" in done.stderr


def test_pictures(shell: Shell) -> None:
    done = shell.run("classify", *FOUR, *LABELS, "--html", "map.html", "--png", "map.png", "--csv")
    assert done.stdout.startswith("path,id,label")
    assert (shell.folder / "map.html").read_text().count("data:image/jpeg") == 4
    assert (shell.folder / "map.png").read_bytes().startswith(b"\x89PNG")
    before = {path: path.read_bytes() for path in shell.folder.glob("photos/*")}
    done = shell.run("classify", "photos", *LABELS, "--png", "photos/cat.png", code=2)
    assert "cat.png lies in an indexed folder" in done.stderr
    assert {path: path.read_bytes() for path in shell.folder.glob("photos/*")} == before


def test_sigmoid_scoring_is_noted(shell: Shell, tmp_path: Path) -> None:
    model = make_model_folder(tmp_path / "siglip", clipsight={"logit_bias": -2.0})
    options = ("--library", tmp_path / "lib", "--model", model)
    done = shell.run("classify", "photos/cat.png", *LABELS, "--json", *options)
    whole = json.loads(done.stdout)
    assert (whole["scoring"], whole["logit_bias"], whole["logit_scale_assumed"]) == ("sigmoid", -2.0, True)
    assert "100, CLIP's usual one, is assumed" in done.stderr


def test_label_embeddings_are_cached_in_the_library(shell: Shell) -> None:
    def probabilities() -> list[dict[str, float]]:
        found = json.loads(shell.run("classify", *FOUR, "a lion", "a lamb", "--json").stdout)
        return [photo["probabilities"] for photo in found["photos"]]

    kept = shell.home / "library" / "labels.sqlite3"
    first = probabilities()
    size = kept.stat().st_size
    kept.write_bytes(b"damaged" * 1000)
    assert probabilities() == [pytest.approx(each, abs=2e-5) for each in first]
    assert 0 < kept.stat().st_size <= size and kept.read_bytes().startswith(b"SQLite format 3")
    assert probabilities() == [pytest.approx(each, abs=2e-5) for each in first]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Twelve photos in two class folders."""
    for label, names in (
        ("animal", ["cat.png", "flower.jpg"]),
        ("machine", ["motorcycle.png", "rocket.jpg"]),
    ):
        (tmp_path / "labelled" / label).mkdir(parents=True)
        for name in names:
            for number in range(3):
                data = SAMPLES[name].read_bytes() + b"\0" * number  # the same photo, another file
                (tmp_path / "labelled" / label / f"{number}{name}").write_bytes(data)
    return tmp_path / "labelled"


@pytest.mark.slow
def test_compare_templates(shell: Shell, labelled: Path) -> None:
    library = ("--library", labelled.parent / "lib", "--model", shell.model)
    templates = ("--template", "a {}", "--template", "a photo of the {}.")
    done = shell.run("classify", "--compare-templates", labelled, *templates, *library)
    check_golden("classify.compare.txt", done.stdout, shell)
    found = json.loads(shell.run("classify", "--compare-templates", labelled, *library, "--json").stdout)
    assert len(found["templates"]) == 81 and found["photos"] == {"choosing": 6, "held_out": 6}
    (labelled / "machine" / "letter.jpg").write_text("no photo")
    done = shell.run("classify", "--compare-templates", labelled, *templates, *library)
    assert re.search(r"not classified: .*letter\.jpg: not an image", done.stderr)


def test_photos_that_no_label_fits(shell: Shell) -> None:
    found = json.loads(shell.run("classify", *FOUR, *LABELS, "--unknown", "--json").stdout)
    assert found["labels"] == [*LABELS, "none of these"]
    for photo in found["photos"]:
        assert sum(photo["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_labels_become_a_filter(shell: Shell, tmp_path: Path) -> None:
    library = ("--library", tmp_path / "lib")
    shell.run("index", "photos", "--model", shell.model, *library)
    given = json.loads(shell.run("classify", "photos", "--labels", "cat,rocket", "--json", *library).stdout)
    for label in ("cat", "rocket"):
        wanted = {photo["path"] for photo in given["photos"] if photo["label"] == label}
        done = shell.run(
            "search", "a thing", "-n", "--paths", "--label", label, *library, code=0 if wanted else 2
        )
        assert set(done.stdout.splitlines()) == wanted
    done = shell.run("search", "a thing", "-n", "--label", "zebra", *library, code=2)
    assert "no photo has the label 'zebra': there are" in done.stderr


def test_organize_and_undo(shell: Shell, tmp_path: Path) -> None:
    sort = ("classify", *FOUR, "--labels", "cat,rocket", "--organize", tmp_path / "sorted")
    done = shell.run(*sort, "--dry-run")
    assert "4 photos would be sorted into" in done.stdout and not (tmp_path / "sorted").exists()
    done = shell.run(*sort, "--symlink")
    assert "4 photos sorted into" in done.stdout
    links = [path for path in (tmp_path / "sorted").rglob("*") if path.is_symlink()]
    assert sorted(link.resolve().name for link in links) == sorted(Path(photo).name for photo in FOUR)
    assert {link.parent.name for link in links} <= {"cat", "rocket"}
    assert "4 there already" in shell.run(*sort, "--symlink").stdout
    shell.run("organize", "--undo", tmp_path / "sorted")
    assert not (tmp_path / "sorted").exists()
    done = shell.run(*sort[:-1], "photos/sorted", code=2)
    assert "is in the photo folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*FOUR,), "at least two labels are needed"),
        ((*FOUR, "a cat"), "at least two labels are needed"),
        ((*FOUR, "a cat", "a cat "), "'a cat' is there twice"),
        ((*FOUR, "a cat", "  "), "label 2 is blank"),
        ((*FOUR, "--labels", "cat"), "neither a file of labels nor a list"),
        ((*FOUR, "--labels", "cat,dog,cat"), "'cat' is there twice"),
        ((*FOUR, "--labels", "empty.txt"), "empty.txt is empty"),
        ((*FOUR, "--labels", "blank.txt"), "blank.txt, line 2 is blank"),
        ((*FOUR, *LABELS, "--template", "a photo"), "has no {}"),
        ((*FOUR, *LABELS, "--template", "{} {}"), "2 times {}"),
        ((*FOUR, *LABELS, "--templates", "empty.txt"), "empty.txt is empty"),
        ((*FOUR, *LABELS, "--templates", "imagnet"), "choose plain, simple, imagenet"),
        (("photos/dog.png", *LABELS), "no such photo or folder: photos/dog.png"),
        (("./photo", *LABELS), "no such photo or folder: ./photo"),
        (("photo", "--labels", "labels.txt"), "no such photo or folder: photo"),
        (("https://example.org/x.jpg", *LABELS), "download"),
        (LABELS, "no photo to classify"),
        ((*FOUR, *LABELS, "--png", "map.jpg"), "name it .png"),
        ((*FOUR, *LABELS, "--html", "no/such/map.html"), "no such folder"),
        ((*FOUR, *LABELS, "--json", "--csv"), "Usage:"),
        ((*FOUR, *LABELS, "--top", "0"), "Usage:"),
        ((*FOUR, *LABELS, "--symlink"), "Usage:"),
        ((*FOUR, *LABELS, "--organize", "out", "--copy", "--hardlink"), "Usage:"),
        ((*FOUR, *LABELS, "--organize", "out", "--csv"), "Usage:"),
        ((*FOUR, "a cat", "none of these", "--unknown"), "reserved for photos that no label fits"),
        (("--compare-templates", "nowhere"), "no such folder or CSV file: nowhere"),
        (("--compare-templates", "photos"), "photos has 0 classes"),
        (("--compare-templates", "photos", "--csv"), "Usage:"),
        (("--compare-templates",), "Usage:"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    before = sorted(os.listdir(shell.folder))
    done = shell.run("classify", *arguments, code=2)
    assert message in done.stderr and done.stdout == ""
    assert sorted(os.listdir(shell.folder)) == before
