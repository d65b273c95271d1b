"""`clipsight evaluate` end to end: golden text, JSON, its own libraries, one-line errors."""

import json
import shutil
from pathlib import Path

import pytest
from typer import BadParameter

from clipsight.cli.app import app
from clipsight.core.errors import ClipsightError
from tests.support.samples import CLASSES, SAMPLES, write_classes
from tests.support.shell import Shell, check_golden


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shell:
    """A shell beside two collections of three classes, `a` and, darker, `b`, and a CSV of captions."""
    folder = tmp_path_factory.mktemp("measured")
    write_classes(folder / "a", 5)
    write_classes(folder / "b", 5, brightness=0.6)
    (folder / "photos").mkdir()
    lines = ["filepath,caption\n"]
    for name in ("cat.png", "coffee.png", "rocket.jpg"):
        shutil.copyfile(SAMPLES[name], folder / "photos" / name)
        lines += [f"{name},a photo of a {name[:-4]}\n", f"{name},{name[:-4]}\n"]
    (folder / "photos" / "captions.csv").write_text("".join(lines))
    return Shell(folder, tiny_model, folder / "home")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("retrieval", ["--retrieval", "photos/captions.csv"]),
        ("zeroshot", ["--zeroshot", "a", "--template", "a photo of a {}."]),
        ("linear-probe", ["--linear-probe", "a"]),
        ("shift", ["--shift", "a", "b"]),
    ],
)
@pytest.mark.slow
def test_every_evaluation_prints_its_metrics(shell: Shell, name: str, arguments: list[str]) -> None:
    done = shell.run("evaluate", shell.model, *arguments)
    check_golden(f"evaluate-{name}.txt", done.stdout, shell)
    assert done.stderr == ""


@pytest.mark.slow
def test_zeroshot_as_json(shell: Shell) -> None:
    found = json.loads(shell.run("evaluate", shell.model, "--zeroshot", "a", "--json").stdout)
    assert {"model", "templates", "top1", "top5", "per_class", "confusion", "failures"} <= set(found)
    assert found["model"] == "tiny" and len(found["templates"]) == 7 and found["photos"] == 15
    assert set(found["per_class"]) == set(CLASSES) and found["top5"] is None
    right = sum(found["confusion"]["counts"][row][row] for row in range(3))
    assert found["top1"] == pytest.approx(right / 15, abs=1e-6)


@pytest.mark.slow
def test_the_others_as_json(shell: Shell) -> None:
    found = json.loads(
        shell.run("evaluate", shell.model, "--retrieval", "photos/captions.csv", "--json").stdout
    )
    assert (found["photos"], found["captions"]) == (3, 6)
    assert list(found["text_to_image"]) == ["recall@1", "recall@5", "recall@10", "median_rank"]
    found = json.loads(shell.run("evaluate", shell.model, "--linear-probe", "a", "--json").stdout)
    assert found["photos"] == 3 and found["settings"]["photos"] == 12 and found["top1"] == 1.0
    found = json.loads(shell.run("evaluate", shell.model, "--shift", "a", "b", "--json").stdout)
    assert found["probe"]["b"]["photos"] == 15
    assert list(found) == ["model", "zero-shot", "probe", "probe from zero-shot", "failures"]


def test_embeddings_are_stored_in_a_separate_library(shell: Shell, tiny_model: Path) -> None:
    shell.run("evaluate", shell.model, "--zeroshot", "a")
    [kept] = (shell.home / "measured").iterdir()
    assert kept.name.startswith("tiny-")
    assert not (shell.home / "library").exists()
    status = json.loads(shell.run("status", "--library", kept, "--json").stdout)
    assert status["photos"] >= 15 and status["model"] == "tiny"


def test_broken_photos_are_reported(shell: Shell) -> None:
    broken = shell.folder / "a" / "cat" / "letter.jpg"
    broken.write_text("Dear Sir or Madam")
    done = shell.run("evaluate", shell.model, "--zeroshot", "a")
    broken.unlink()
    assert done.stderr == f"clipsight: left out {broken}: not an image: the file is text\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "choose one of --retrieval, --zeroshot, --linear-probe and --shift"),
        (["--zeroshot", "a", "--linear-probe", "a"], "choose one of"),
        (["--zeroshot", "nowhere"], "no such folder or CSV file: nowhere"),
        (["--zeroshot", "letters"], "no photo of the class 'one' can be read"),
        (["--zeroshot", "a", "--template", "{} and {}"], "{}"),
        (["--retrieval", "nowhere.csv"], "can't read nowhere.csv: No such file"),
        (["--retrieval", "a"], "can't read a:"),
        (["--shift", "a", "others"], "the class 'sky' of the test photos is not one of the trained classes"),
        (["--linear-probe", "others"], "the class 'cat' has one readable photo"),
    ],
)
def test_invalid_arguments_are_one_line(
    shell: Shell,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "two"):
        (shell.folder / "letters" / name).mkdir(parents=True, exist_ok=True)
        (shell.folder / "letters" / name / "letter.jpg").write_text("Dear Sir or Madam")
    for name in ("cat", "sky"):
        (shell.folder / "others" / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLES["cat.png"], shell.folder / "others" / name / "1.png")
    monkeypatch.chdir(shell.folder)
    monkeypatch.setenv("CLIPSIGHT_HOME", str(shell.home))
    with pytest.raises((ClipsightError, BadParameter)) as error:
        app(["evaluate", str(shell.model), *arguments], standalone_mode=False)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not capsys.readouterr().out


def test_an_unknown_model_is_an_error(shell: Shell) -> None:
    done = shell.run("evaluate", "nonsense-model", "--zeroshot", "a", code=2)
    assert "nonsense-model" in done.stderr
