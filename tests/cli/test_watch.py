"""`clipsight watch` as a process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.samples import SAMPLES
from tests.support.shell import Shell


def test_unit_is_printed(shell: Shell) -> None:
    done = shell.run("watch", "photos", "--unit")
    assert str(shell.folder / "photos") in done.stdout and "watch" in done.stdout
    assert not shell.home.exists()


@pytest.mark.parametrize("arguments", [("nowhere",), ("photos", "--settle", "0"), ("photos/cat.png",)])
def test_invalid_arguments(shell: Shell, arguments: tuple[str, ...]) -> None:
    pytest.importorskip("watchfiles")
    shell.run("watch", *arguments, "--model", shell.model, code=2)


def test_without_watchfiles_the_error_names_the_extra(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = shell.run("watch", "photos", code=2)
    assert "pip install '.[watch]'" in done.stderr and not shell.home.exists()


@pytest.mark.process
def test_a_new_photo_is_indexed_and_ctrl_c_ends_the_watch(shell: Shell) -> None:
    pytest.importorskip("watchfiles")
    process = subprocess.Popen(
        [sys.executable, "-m", "clipsight", "watch", "photos", "--model", shell.model, "--settle", "0.1"],
        cwd=shell.folder,
        env={**os.environ, "CLIPSIGHT_HOME": str(shell.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert f": {len(SAMPLES)} new (" in first
    new = Path(shell.folder) / "photos" / "new.png"
    new.write_bytes(SAMPLES["cat.png"].read_bytes() + b"another end")
    assert ": 1 new, " in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors.endswith("clipsight: stopped watching\n")
    assert '"photos": 9' in shell.run("status", "--json").stdout
