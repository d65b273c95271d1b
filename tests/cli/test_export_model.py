"""`clipsight export-model` end to end, up to a search with the exported model."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clipsight.cli.app import app
from clipsight.clip.checkpoint import save
from clipsight.clip.model import CLIP
from clipsight.core.errors import ClipsightError, ModelError
from tests.support.clip_weights import TINY_VIT, fill
from tests.support.shell import Shell

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights, as OpenCLIP keeps it."""
    text = replace(TINY_VIT.text_cfg, context_length=77, vocab_size=49408)
    model = CLIP(replace(TINY_VIT, text_cfg=text))
    fill(model)
    folder = tmp_path_factory.mktemp("run") / "weights"
    save(model, folder, "openclip")
    return folder


@pytest.fixture
def shell(tmp_path: Path, tiny_model: Path) -> Shell:
    return Shell(tmp_path, tiny_model, tmp_path / "home")


def test_an_exported_model_can_search(shell: Shell, weights: Path, photos: Path) -> None:
    done = shell.run("export-model", weights, "-o", "mine", "--precision", "int8")
    first, of_photos, of_texts = done.stdout.splitlines()
    assert first.startswith(str(shell.folder / "mine")) and first.endswith("MB, int8")
    assert "photos against PyTorch: cosine 0.99" in of_photos
    assert "texts against PyTorch: cosine 0.99" in of_texts
    assert (
        done.stderr == f"clipsight: to search with it: clipsight search --model {shell.folder / 'mine'} ...\n"
    )

    done = shell.run("search", photos / "cat.png", photos, "--model", "./mine", "--json")
    matches = json.loads(done.stdout)["matches"]
    assert len(matches) == len(list(photos.iterdir())) - 1  # all but the query itself
    done = shell.run("search", "a cat", photos, "--model", "./mine", "--paths", "--top", "3")
    assert len(done.stdout.splitlines()) == 3


def export(*arguments: str | Path) -> Result:
    """Run the command in this process, which has imported PyTorch already."""
    return CliRunner().invoke(app, ["export-model", *map(str, arguments)])


def test_json_and_other_photos(weights: Path, photos: Path, tmp_path: Path) -> None:
    done = export(weights, "-o", tmp_path / "mine", "--photos", photos, "--json")
    result = json.loads(done.stdout)
    figures = json.loads((tmp_path / "mine" / "config.json").read_text())["clipsight"]["figures"]["export"]
    assert result == {"folder": str(tmp_path / "mine"), "size": result["size"], **figures}
    assert result["precision"] == "fp32" and result["photos"]["count"] == len(list(photos.iterdir()))
    assert result["photos"]["difference"] <= 1e-4 and result["texts"]["difference"] <= 1e-4


def test_force_replaces(weights: Path, tmp_path: Path) -> None:
    arguments = (weights, "-o", tmp_path / "mine", "--precision")
    assert export(*arguments, "fp32").exit_code == 0
    refused = export(*arguments, "fp16")
    assert isinstance(refused.exception, ModelError) and "`overwrite=True`" in str(refused.exception)
    assert "MB, fp16" in export(*arguments, "fp16", "--force").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.pt",), "no weights at nowhere.pt"),
        (("ViT-B-99",), "'ViT-B-99' is not known"),
        (("WEIGHTS", "--photos", "nowhere"), "no photo to compare"),
        (("WEIGHTS", "--arch", "ViT-B-32-quickgelu"), "of another architecture"),
        (("WEIGHTS", "--arch", "ViT-B-23"), "did you mean"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], message: str, weights: Path, tmp_path: Path) -> None:
    given = [str(weights) if argument == "WEIGHTS" else argument for argument in arguments]
    error = export(*given, "-o", tmp_path / "mine").exception
    assert isinstance(error, ClipsightError)
    assert message in str(error) and "\n" not in str(error)
    assert not (tmp_path / "mine").exists()


def test_without_photos_the_error_says_where_to_get_some(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipsight.indexing.sample_photos.find_spec", lambda name: None)
    error = export(weights, "-o", tmp_path / "mine").exception
    assert isinstance(error, ModelError)
    assert "--photos" in str(error) and "'.[demo]'" in str(error)


@pytest.mark.parametrize("arguments", [("x.pt",), ("x.pt", "-o", "mine", "--precision", "int4")])
def test_invalid_arguments_are_explained(arguments: tuple[str, ...]) -> None:
    refused = export(*arguments)
    assert refused.exit_code == 2 and "Usage:" in refused.stderr


@pytest.mark.process
@pytest.mark.parametrize("module", ["torch", "onnx"])
def test_without_the_extra_the_error_says_what_to_install(module: str, shell: Shell) -> None:
    missing = shell.folder / "missing"
    missing.mkdir()
    (missing / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module', name={module!r})")
    paths = os.pathsep.join([str(missing), os.environ.get("PYTHONPATH", "")])
    done = shell.run_alone("export-model", "x.pt", "-o", "mine", code=2, PYTHONPATH=paths)
    assert f"needs {module}: pip install '.[train]'" in done.stderr
