"""`clipsight train` end to end: a run, its result, its interruption, and one-line errors."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.clip_weights import SMALL_CONFIG
from tests.support.shell import Shell
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shell:
    """A shell in a folder with captions.csv of 36 pictures, and arch.json."""
    made = tmp_path_factory.mktemp("train")
    pictures.write(made, pictures.scenes(colour=3, shape=3, size=1, place=2, count=2), 1, 16)
    (made / "arch.json").write_text(json.dumps(SMALL_CONFIG))
    return Shell(made, tiny_model, made / "home")


def _arguments(*arguments: str | Path, data: str = "captions.csv") -> list[str]:
    fixed = "--arch arch.json --batch-size 8 --workers 0 --device cpu --threads 1"
    return ["train", data, *fixed.split(), *map(str, arguments)]


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "clipsight", *_arguments(*arguments)]


@pytest.mark.slow
def test_a_run_prints_its_result(shell: Shell, tmp_path: Path) -> None:
    done = shell.run(*_arguments("-o", tmp_path / "run", "--epochs", "2", "--hold-out", "4"))
    assert done.stdout.startswith(
        f"{tmp_path}/run: 8 steps on 32 photos; 4 held out: text to image recall@1 0."
    )
    lines = done.stderr.splitlines()
    assert lines[0].startswith("step 4: loss ") and lines[1].startswith("step 8: loss ")
    assert lines[2].endswith(f"clipsight export-model {tmp_path}/run/best -o FOLDER") and len(lines) == 3
    assert {"last.pt", "best", "metrics.csv", "curves.png", "tensorboard"} == {
        path.name for path in (tmp_path / "run").iterdir()
    }


@pytest.mark.slow
def test_json_is_the_whole_result(shell: Shell, tmp_path: Path) -> None:
    captions = (shell.folder / "captions.csv").read_text()
    (shell.folder / "more.csv").write_text(captions + "gone.png,a cat\n0000-0.png,\n")
    options = ("--epochs", "2", "--hold-out", "0", "--max-bad", "10%", "--json")
    done = shell.run(*_arguments("-o", tmp_path / "run", *options, data="more.csv"))
    found = json.loads(done.stdout)
    assert (found["photos"], found["held_out"], found["steps"], found["figures"]) == (37, 0, 8, {})
    assert {Path(each["photo"]).name[:9] for each in found["skipped"]} == {"gone.png", "more.csv,"}


@pytest.mark.process
def test_an_interrupted_run_can_be_resumed(shell: Shell, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "run", "--epochs", "5000", "--hold-out", "0", "--save-every", "5")
    running = subprocess.Popen(_command(*options), cwd=shell.folder, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: (tmp_path / "run" / "last.pt").exists() or running.poll() is not None, step=0.05)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=PATIENCE)
    finally:
        running.kill()
    assert running.returncode == 130
    advice = f"the same command with --resume continues from the last checkpoint in {tmp_path}/run"
    assert said == f"clipsight: stopped; {advice}\n"
    assert "holds a run already; continue it with --resume" in shell.run(*_arguments(*options), code=2).stderr
    other = ("-o", tmp_path / "run", "--epochs", "2", "--hold-out", "0", "--resume")
    assert "was started with other options (epochs 5000" in shell.run(*_arguments(*other), code=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arch", "ViT-B-33"], "no architecture is called 'ViT-B-33'; did you mean ViT-B-32"),
        (["--batch-size", "64"], "a batch of 64 is larger than the data, 35 photos; lower --batch-size"),
        (["--init", "nowhere.pt"], "there are no weights at nowhere.pt"),
        (
            ["--lock", "image"],
            "--lock keeps a trained tower unchanged; set --init to the model it is part of",
        ),
        (
            ["--columns", "image,text"],
            "needs the columns image and text, it has filepath, caption; name them with --columns",
        ),
        (["--resume"], "there is no run to resume"),
        (["--max-bad", "many"], "give a share like 1% or 0.01"),
        (["--columns", "image"], "give two names separated by a comma"),
        (["--val", "none.csv"], "no training data at none.csv"),
    ],
)
def test_invalid_arguments_are_one_line_errors(
    shell: Shell, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = shell.run(*_arguments("-o", tmp_path / "run", *arguments), code=2)
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "run" / "last.pt").exists()


@pytest.mark.process
def test_without_the_extra_the_error_says_how_to_install_it(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        _command("-o", tmp_path / "run"), cwd=shell.folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.startswith("clipsight: training needs torch: pip install '.[train]' in the clone of ")
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("https://download.pytorch.org/whl/cpu)\n")
