"""`clipsight probe` end to end: golden text, files written whole or not at all, one-line errors."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer import BadParameter

from benchmarks import measure
from clipsight.cli.app import app
from clipsight.core.errors import ClipsightError
from clipsight.models.folder import ModelFolder
from clipsight.probe import Probe, load
from clipsight.probe.head import Head
from clipsight.store.catalog import Catalog
from tests.support.catalogs import add_photos, unit_vectors
from tests.support.samples import CLASSES, SAMPLES, write_classes
from tests.support.shell import Shell, check_golden


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shell:
    """A shell beside `labelled`, three classes of six crops of real photos, indexed, and a probe of them."""
    folder = tmp_path_factory.mktemp("pets")
    write_classes(folder / "labelled", 6)
    shutil.copyfile(SAMPLES["rocket.jpg"], folder / "rocket.jpg")
    shell = Shell(folder, tiny_model, folder / "home")
    shell.run("probe", "fit", "labelled", "-o", "pets.probe", "--model", tiny_model)
    return shell


@pytest.mark.slow
def test_fit_prints_a_report(pets: Shell) -> None:
    done = pets.run("probe", "fit", "labelled", "-o", "again.probe")
    check_golden("probe-fit.txt", done.stdout, pets)
    assert done.stderr == "clipsight: wrote again.probe: 3 classes on vectors of tiny\n"
    assert (pets.folder / "again.probe").read_bytes() == (pets.folder / "pets.probe").read_bytes()


@pytest.mark.slow  # importing Matplotlib takes seconds
def test_fit_writes_the_requested_files(pets: Shell) -> None:
    done = pets.run(
        *("probe", "fit", "labelled", "-o", "all.probe", "--alpha", "auto", "--shots", "4"),
        *("--repeats", "2", "--report", "new/report", "--template", "a photo of a {}.", "--json"),
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert list(report) == ["model", "settings", "test", "zero_shot", "curve", "failures"]
    assert report["settings"]["templates"] == ["a photo of a {}."] and report["settings"]["shots"] == 4
    assert [point["shots"] for point in report["curve"]] == [1, 2, 4, "all"]
    folder = pets.folder / "new" / "report"
    assert sorted(file.name for file in folder.iterdir()) == [
        "confusion.png",
        "curve.csv",
        "curve.png",
        "report.json",
    ]
    assert json.loads((folder / "report.json").read_text()) == report
    rows = list(csv.DictReader(io.StringIO((folder / "curve.csv").read_text())))
    assert [row["draws"] for row in rows] == ["2", "2", "2", "1"]
    for picture in ("confusion.png", "curve.png"):
        with Image.open(folder / picture) as opened:
            opened.verify()
    assert load(pets.folder / "all.probe").figures["top1"] == report["test"]["top1"]


@pytest.mark.slow
def test_apply_prints_lines_json_and_csv(pets: Shell) -> None:
    done = pets.run("probe", "apply", "pets.probe", "labelled/cat", "rocket.jpg")
    lines = sorted(done.stdout.splitlines(), key=lambda line: line.split()[-1])  # indexed as threads finish
    check_golden("probe-apply.txt", "\n".join(lines), pets)
    done = pets.run("probe", "apply", "pets.probe", "labelled", "--json")
    found = json.loads(done.stdout)
    assert list(found) == ["model", "labels", "photos", "failures"]
    assert (found["model"], found["labels"], len(found["photos"])) == ("tiny", list(CLASSES), 18)
    for photo in found["photos"]:
        assert list(photo) == ["path", "id", "label", "probability", "probabilities"]
        assert photo["label"] == Path(photo["path"]).parent.name
        assert photo["probability"] == max(photo["probabilities"].values())
        assert sum(photo["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    rows = list(csv.reader(io.StringIO(pets.run("probe", "apply", "pets.probe", "--csv").stdout)))
    assert rows[0] == ["path", "id", "label", "probability", *CLASSES] and len(rows) == 19
    assert {row[0]: row[2] for row in rows[1:]} == {each["path"]: each["label"] for each in found["photos"]}


@pytest.mark.parametrize(
    "command", [["probe", "apply", "pets.probe"], ["classify", "--labels", "cat,coffee cup"]]
)
def test_csv_quotes_every_file_name(
    pets: Shell,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    names = ["lone\rCR.png", "two\r\nlines.png", "new\nline.png", "a, comma.png", 'a "quote".png']
    photos = [shutil.copyfile(SAMPLES["cat.png"], tmp_path / name) for name in names]
    monkeypatch.chdir(pets.folder)
    monkeypatch.setenv("CLIPSIGHT_HOME", str(pets.home))
    app([*command, *map(str, photos), "--csv"], standalone_mode=False)
    text = capsysbinary.readouterr().out.decode()
    heading, *rows = csv.reader(io.StringIO(text, newline=""))
    assert [row[0] for row in rows] == [str(photo) for photo in photos]
    assert all(len(row) == len(heading) for row in rows)


def test_apply_indexes_new_photos_of_a_folder_first(pets: Shell) -> None:
    (pets.folder / "new-photos").mkdir()
    shutil.copyfile(SAMPLES["cat.png"], pets.folder / "new-photos" / "1.png")
    pets.run("probe", "apply", "pets.probe", "new-photos", "-n", code=2)
    done = pets.run("probe", "apply", "pets.probe", "new-photos")
    assert done.stdout.count("\n") == 1 and "1.png" in done.stdout
    pets.run("forget", "new-photos")


def test_unreadable_photos_are_reported(pets: Shell) -> None:
    (pets.folder / "letter.jpg").write_text("Dear Sir or Madam")
    done = pets.run("probe", "apply", "pets.probe", "letter.jpg", "rocket.jpg")
    assert done.stdout.count("\n") == 1
    assert done.stderr == "clipsight: left out letter.jpg: not an image: the file is text\n"
    done = pets.run("probe", "apply", "pets.probe", "letter.jpg", code=2)
    assert "no photo could be classified: letter.jpg: not an image" in done.stderr
    found = json.loads(pets.run("probe", "apply", "pets.probe", "letter.jpg", "rocket.jpg", "--json").stdout)
    assert found["failures"] == [{"path": "letter.jpg", "reason": "not an image: the file is text"}]
    assert found["photos"][0]["id"] is None


def test_broken_photos_of_a_class_are_skipped_and_reported(pets: Shell) -> None:
    broken = pets.folder / "labelled" / "cat" / "letter.jpg"
    broken.write_text("Dear Sir or Madam")
    done = pets.run("probe", "fit", "labelled", "-o", "again.probe")
    assert f"left out {broken}: not an image: the file is text" in done.stderr
    broken.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nowhere", "-o", "x"], "no such folder or CSV file: nowhere"),
        (["fit", "labelled/cat", "-o", "x"], "has 0 classes"),
        (["fit", "labelled", "-o", "x", "--shots", "6"], "`shots` is 6, but the class 'cat' has 5"),
        (["fit", "labelled", "-o", "x", "--shots", "0"], ""),
        (["fit", "labelled", "-o", "x", "--repeats", "0"], ""),
        (["fit", "labelled", "-o", "x", "--alpha", "2"], "choose a number from 0"),
        (["fit", "labelled", "-o", "x", "--alpha", "most"], ""),
        (["fit", "labelled", "-o", "x", "--template", "a photo"], "{}"),
        (["fit", "labelled", "-o", "nowhere/x"], "can't write nowhere/x: there is no folder nowhere"),
        pytest.param(
            *(["fit", "labelled", "-o", "x", "--report", "rocket.jpg"], "can't make the folder rocket.jpg"),
            marks=pytest.mark.slow,  # importing Matplotlib takes seconds
        ),
        (["fit", "labelled", "-o", "x", "--test", "others"], "the class 'sky' of the test photos"),
        (["apply", "nothing.probe"], "no such probe: nothing.probe"),
        (["apply", "rocket.jpg"], "rocket.jpg is not a probe of clipsight, or damaged"),
        (["apply", "half.probe"], "half.probe is not a probe of clipsight, or damaged"),
        (["apply", "pets.probe", "nothing.jpg"], "no such photo or folder: nothing.jpg"),
        (["apply", "pets.probe", "--json", "--csv"], ""),
    ],
)
def test_errors_are_one_line_and_write_nothing(
    pets: Shell,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = (pets.folder / "pets.probe").read_bytes()
    (pets.folder / "half.probe").write_bytes(whole[: len(whole) // 2])
    for name in ("sky", "cat"):
        (pets.folder / "others" / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLES["cat.png"], pets.folder / "others" / name / "1.png")
    monkeypatch.chdir(pets.folder)
    monkeypatch.setenv("CLIPSIGHT_HOME", str(pets.home))
    with pytest.raises((ClipsightError, BadParameter)) as error:
        app(["probe", *arguments], standalone_mode=False)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not capsys.readouterr().out and not (pets.folder / "x").exists()


def test_a_library_of_another_model_is_refused(pets: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.support.tiny_models import make_model_folder

    other = make_model_folder(tmp_path_factory.mktemp("models") / "other", seed=5)
    done = pets.run(
        "probe", "apply", "pets.probe", "labelled", "--library", "other", "--model", other, code=2
    )
    assert "fitted on vectors of tiny, but the library has vectors of other: fit it again" in done.stderr
    assert not done.stdout


def test_an_empty_library_is_an_error(pets: Shell) -> None:
    done = pets.run("probe", "apply", "pets.probe", "--library", "empty", "--model", pets.model, code=2)
    assert done.stderr.startswith("clipsight: there is no photo to classify")


def test_a_class_of_one_photo_needs_another_collection(pets: Shell) -> None:
    for name in ("cat", "galaxies"):
        (pets.folder / "single" / name).mkdir(parents=True)
        shutil.copyfile(SAMPLES[CLASSES[name]], pets.folder / "single" / name / Path(CLASSES[name]).name)
    done = pets.run("probe", "fit", "single", "-o", "x", code=2)
    assert "the class 'cat' has one readable photo" in done.stderr
    (pets.folder / "labelled" / "coffee_cup").rename(pets.folder / "coffee_cup")
    try:
        done = pets.run("probe", "fit", "single", "-o", "single.probe", "--test", "labelled")
    finally:
        (pets.folder / "coffee_cup").rename(pets.folder / "labelled" / "coffee_cup")
    assert "fitted on 2 photos" in done.stdout and "on 12 others" in done.stdout


@pytest.mark.process
def test_memory_is_bounded_while_a_probe_is_applied(tmp_path: Path, tiny_model: Path) -> None:
    """20,000 photos x 200 classes are 16 MB of probabilities and 36 MB of CSV: neither may be held."""
    classes = tuple(map(str, range(200)))
    weights = np.random.default_rng(0).standard_normal((200, 32)).astype(np.float32)
    fingerprint = ModelFolder.read(tiny_model).fingerprint()
    file = tmp_path / "a.probe"
    Probe(classes, Head(weights, np.zeros(200, np.float32)), "tiny", fingerprint).save(file)
    peaks = []
    for count in (1_000, 20_000):
        library = tmp_path / f"library-{count}"
        catalog = Catalog(library)
        model = catalog.add_model(fingerprint, "tiny", str(tiny_model), 32)
        catalog.set_current_model(model)
        paths = [b"/photos/%06d.jpg" % number for number in range(count)]
        add_photos(catalog, model, unit_vectors(count, 32), paths)
        catalog.close()
        command = measure.clipsight("probe", "apply", file, "--csv", "--library", library)
        done = measure.run(command, cwd=tmp_path, env=measure.environment(tmp_path / "home"))
        assert done.output.count("\n") == count + 1
        peaks.append(done.peak_bytes)
    assert peaks[1] - peaks[0] < 10e6, peaks
