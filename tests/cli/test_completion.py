"""Completion by the shell: the protocols of bash, zsh and fish, and a real bash."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell import Shell


@pytest.fixture(scope="module")
def labelled(indexed: Shell) -> Shell:
    """A shell whose photos have labels."""
    indexed.run("classify", "photos", "--labels", "cat,two dogs,it's a $5 pen", "--json")
    return indexed


def in_bash(shell: Shell, line: str, **environment: str) -> list[str]:
    """What bash is told for a line with the cursor at its end."""
    words = line.split(" ")
    done = shell.run(
        _CLIPSIGHT_COMPLETE="complete_bash",
        COMP_WORDS="\n".join(words),
        COMP_CWORD=str(len(words) - 1),
        **environment,  # type: ignore[arg-type]  # not `code` nor `stdin`
    )
    return [word for word in done.stdout.splitlines() if word]


@pytest.mark.slow
def test_commands_and_options(indexed: Shell) -> None:
    assert in_bash(indexed, "clipsight ex") == ["explain", "export-model", "export"]
    assert in_bash(indexed, "clipsight probe ") == ["fit", "apply"]
    assert in_bash(indexed, "clipsight search cat --so") == ["--sort"]
    assert in_bash(indexed, "clipsight search cat --sort ") == ["score", "date", "path"]
    assert in_bash(indexed, "clipsight explain cat x.jpg --method occ") == ["occlusion"]
    assert in_bash(indexed, "clipsight classify x.jpg --templates ") == ["plain", "simple", "imagenet"]


def test_labels_are_quoted_for_bash(labelled: Shell) -> None:
    line = "clipsight search x --label "
    assert in_bash(labelled, line) == ["cat", "it\\'s\\ a\\ \\$5\\ pen", "two\\ dogs"]
    assert in_bash(labelled, line + "tw") == ["two\\ dogs"]
    assert [shlex.split(word) for word in in_bash(labelled, line)] == [
        ["cat"],
        ["it's a $5 pen"],
        ["two dogs"],
    ]
    assert in_bash(labelled, line + '"tw') == ["two dogs"]
    assert in_bash(labelled, line + "horse") == []


def test_folders_of_the_library(labelled: Shell) -> None:
    photos = str(labelled.folder / "photos")
    assert in_bash(labelled, "clipsight forget ") == [photos]
    assert in_bash(labelled, f"clipsight search cat {photos[:-2]}") == [photos]
    assert in_bash(labelled, "clipsight search cat ./ph") == []  # bash completes names of files
    assert in_bash(labelled, "clipsight forget ~/ph", HOME=str(labelled.folder)) == ["~/photos"]


def test_completion_uses_the_library_option(labelled: Shell, tmp_path: Path) -> None:
    assert in_bash(labelled, f"clipsight search x --library {tmp_path} --label ") == []
    assert in_bash(labelled, "clipsight search x --label ", CLIPSIGHT_LIBRARY=str(tmp_path)) == []
    config = tmp_path / "config.toml"
    config.write_text(f'library = "{tmp_path}"')
    assert in_bash(labelled, "clipsight search x --label ", CLIPSIGHT_CONFIG=str(config)) == []
    config.write_text("librry")
    assert "cat" in in_bash(labelled, "clipsight search x --label ", CLIPSIGHT_CONFIG=str(config))


def test_completion_creates_no_library(shell: Shell) -> None:
    assert in_bash(shell, "clipsight search x --label ") == []
    assert not shell.home.exists()


def test_formats_and_models(shell: Shell) -> None:
    shell.index()
    assert in_bash(shell, "clipsight search x --format ") == ["jpeg", "png"]
    (shell.home / "models" / "my-model").mkdir(parents=True)
    found = in_bash(shell, "clipsight search x --model ")
    assert found[:2] == ["builtin", "my-model"] and "ViT-B-32__openai" in found
    assert in_bash(shell, "clipsight evaluate ViT-B-32__op") == ["ViT-B-32__openai"]


def test_zsh_and_fish(labelled: Shell) -> None:
    done = labelled.run(
        _CLIPSIGHT_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="clipsight search x --label t"
    )
    assert done.stdout == "_arguments '*: :((\"two dogs\"))'\n"
    for action, expected in (("get-args", "two dogs\n"), ("is-args", "")):
        done = labelled.run(
            _CLIPSIGHT_COMPLETE="complete_fish",
            _TYPER_COMPLETE_FISH_ACTION=action,
            _TYPER_COMPLETE_ARGS="clipsight search x --label t",
        )
        assert done.stdout == expected


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_scripts_are_shown_and_installed(shell: Shell, shell_name: str) -> None:
    script = shell.run("--show-completion", shell_name).stdout
    assert f"_CLIPSIGHT_COMPLETE=complete_{shell_name}" in script
    done = shell.run("--install-completion", shell_name, HOME=str(shell.folder))
    assert done.stdout.startswith(f"{shell_name} completion is installed in {shell.folder}/.")
    installed = [file for file in shell.folder.rglob("*clipsight*") if file.is_file()]
    assert [file.read_text().strip() for file in installed] == [script.strip()]


def test_shells_without_completion(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no completion for 'ksh'" in shell.run("--show-completion", "ksh", code=2).stderr
    monkeypatch.setattr("clipsight.cli.completion._shell_of_parent", lambda: "")
    assert "with one of bash, zsh, fish" in shell.run("--install-completion", code=2).stderr
    (shell.folder / ".zshrc").mkdir()
    assert "can't write" in shell.run("--install-completion", "zsh", HOME=str(shell.folder), code=2).stderr


@pytest.mark.process
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash(labelled: Shell, tmp_path: Path) -> None:
    program = tmp_path / "clipsight"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m clipsight "$@"\n')
    program.chmod(0o755)
    script = (
        f"PATH={shlex.quote(str(tmp_path))}:$PATH CLIPSIGHT_HOME={shlex.quote(str(labelled.home))}\n"
        "export PATH CLIPSIGHT_HOME\n"
        'eval "$(clipsight --show-completion bash)"\n'
        "complete -p clipsight\n"
        "COMP_WORDS=(clipsight search cat --label two) COMP_CWORD=4\n"
        "_clipsight_completion clipsight\n"
        'printf "<%s>" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "complete -o default -F _clipsight_completion clipsight",
        "<two\\ dogs>",
    ]
