"""`clipsight models`: the list, and its commands with a hub and without one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_server import HubServer, files_of
from tests.support.shell import Shell
from tests.support.tiny_models import make_model_folder

OPENAI = "ViT-B-32__openai"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A hub with one real model."""
    model = make_model_folder(tmp_path / "published", name=None)
    with HubServer({f"immich-app/{OPENAI}": files_of(model)}) as server:
        yield server


def test_without_a_command_models_are_listed_and_no_library_is_created(shell: Shell) -> None:
    assert OPENAI in shell.run("models").stdout
    assert not shell.home.exists()
    shell.index()
    models = json.loads(shell.run("models", "--json").stdout)
    assert [model["name"] for model in models][:2] == ["builtin", "ViT-H-14-378-quickgelu__dfn5b"]
    assert not any(model["in_use"] for model in models)


@pytest.mark.slow
def test_a_downloaded_model_can_be_imported_on_a_machine_without_internet(
    shell: Shell, hub: HubServer, tmp_path: Path
) -> None:
    """As `index` tells a user to do."""
    told = shell.run("index", "photos", "--model", "ViT-B/32", code=2).stderr
    assert f"into {shell.home}/models/{OPENAI} (on a machine" in told
    assert f"`clipsight models download {OPENAI}` fetches that folder" in told

    online = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "CLIPSIGHT_HOME": str(tmp_path / "online")}
    done = shell.run("models", "download", OPENAI, **online)  # type: ignore[arg-type]
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / "online" / "models" / OPENAI

    folder = folder.rename(tmp_path / "stick")
    done = shell.run("models", "import", folder, "--name", OPENAI)
    assert done.stdout.strip() == f"{shell.home}/models/{OPENAI}"
    assert "clipsight index --model ViT-B-32__openai" in done.stderr
    assert "8 new" in shell.run("index", "photos", "--model", "ViT-B/32").stdout
    models = json.loads(shell.run("models", "--json").stdout)
    assert [model["name"] for model in models if model["in_use"]] == [OPENAI]
    assert shell.run("models", "download", OPENAI).stdout == done.stdout


def test_files_copied_by_hand_into_the_named_folder_are_used(shell: Shell, hub: HubServer) -> None:
    for name, content in hub.repos[f"immich-app/{OPENAI}"].items():
        target = shell.home / "models" / OPENAI / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    assert "8 new" in shell.run("index", "photos", "--model", OPENAI).stdout


@pytest.mark.parametrize(
    "command", [("index", "photos"), ("search", "cat", "photos"), ("evaluate", "--zeroshot", ".")]
)
def test_every_command_names_a_missing_model(shell: Shell, command: tuple[str, ...]) -> None:
    option = [] if command[0] == "evaluate" else ["--model"]
    words = [command[0], *option, OPENAI, *command[1:]]
    told = shell.run(*words, code=2).stderr
    assert "visual/model.onnx" in told and f"{shell.home}/models/{OPENAI}" in told


def test_errors_of_import_are_one_line(shell: Shell) -> None:
    assert "ViT-B-32__openai" in shell.run("models", "download", "ViT-B-32__openia", code=2).stderr
    assert "config.json is missing" in shell.run("models", "import", "photos", code=2).stderr
    assert "no model folder at nowhere" in shell.run("models", "import", "nowhere", code=2).stderr
    assert "--name" in shell.run("models", "import", shell.model, "--name", "a/b", code=2).stderr


def test_a_link(shell: Shell) -> None:
    shell.run("models", "import", shell.model, "--symlink", "--name", "linked")
    assert (shell.home / "models" / "linked").readlink() == shell.model.resolve()
    assert "8 new" in shell.run("index", "photos", "--model", "linked").stdout
