"""Downloading a model while the network, the disk or the user fails in every possible way."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from clipsight.models import download
from clipsight.models.download import install, partial_bytes
from clipsight.models.folder import ModelFolder, model_files
from clipsight.models.hub import HubError, list_repo
from tests.support.hub_server import Faults, HubServer, tiny_repository
from tests.support.waiting import PATIENCE, wait_until

REPO = "immich-app/tiny"
SIZE = 200_000
FILES = tiny_repository(weights=SIZE)
WANTED = {name: FILES[name] for name in model_files(FILES)}
VISUAL, TEXTUAL = "visual/model.onnx", "textual/model.onnx"

INSTALL = f"""
import signal
from pathlib import Path
from clipsight.core import paths
from clipsight.models.download import install
from clipsight.models.hub import list_repo
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
install(list_repo({REPO!r}), paths.models_folder() / "tiny")
"""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.001)


def exit_code(process: "subprocess.Popen[str]") -> int:
    """Wait for the end of a process, with its pipes read and closed."""
    process.communicate(timeout=PATIENCE)
    return process.returncode


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer({REPO: FILES}) as server:
        server.connect(monkeypatch)
        yield server


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models" / "tiny"


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def part_of(folder: Path, name: str) -> Path:
    (part,) = (folder.parent / ".partial" / "tiny").glob(f"{name}.*.part")
    return part


@pytest.mark.slow
def test_exactly_the_files_of_a_model_are_installed(hub: HubServer, folder: Path) -> None:
    assert install(list_repo(REPO), folder) == folder
    assert content(folder) == WANTED
    assert ModelFolder.read(folder).embed_dim == 8
    assert partial_bytes(folder) == 0
    assert {name: hub.sent(name) for name in FILES} == {
        name: len(WANTED[name]) if name in WANTED else 0 for name in FILES
    }


@pytest.mark.slow
def test_an_installed_model_is_not_requested_again(hub: HubServer, folder: Path) -> None:
    found = list_repo(REPO)
    install(found, folder)
    before = len(hub.requests)
    install(found, folder)
    assert len(hub.requests) == before


@pytest.mark.parametrize("name", [VISUAL, "textual/tokenizer.json"])
@pytest.mark.slow
def test_an_interrupted_download_resumes_at_the_same_byte(hub: HubServer, folder: Path, name: str) -> None:
    half = len(FILES[name]) // 2
    hub.faults.cut_after[name] = [half]
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED
    assert hub.ranges(name) == [None, f"bytes={half}-"]
    assert hub.sent(name) == len(FILES[name])


@pytest.mark.slow
def test_a_download_survives_repeated_interruptions(hub: HubServer, folder: Path) -> None:
    hub.faults.cut_after[VISUAL] = [SIZE // 20] * 15
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED
    assert len(hub.ranges(VISUAL)) == 16
    assert hub.sent(VISUAL) == SIZE


@pytest.mark.slow
def test_a_download_resumes_after_the_hub_was_unreachable(hub: HubServer, folder: Path) -> None:
    hub.faults.cut_after[VISUAL] = [150_000] + [0] * 20
    found = list_repo(REPO)
    with pytest.raises(HubError, match=r"can't be used now .*; try again later \(a download goes on"):
        install(found, folder)
    assert not folder.exists()
    assert part_of(folder, VISUAL).stat().st_size == 150_000
    hub.faults = Faults()
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED
    assert hub.ranges(VISUAL) == [None, "bytes=150000-"]
    assert hub.sent(VISUAL) == SIZE
    assert hub.sent(TEXTUAL) == SIZE


@pytest.mark.slow
def test_transient_errors_are_retried(hub: HubServer, folder: Path) -> None:
    hub.faults.file_status[VISUAL] = [503, 429, 500]
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED


@pytest.mark.parametrize("status", [403, 404])
def test_permanent_errors_are_not_retried(hub: HubServer, folder: Path, status: int) -> None:
    hub.faults.file_status[VISUAL] = [status] * 9
    with pytest.raises(HubError):
        install(list_repo(REPO), folder)
    assert len(hub.faults.file_status[VISUAL]) == 8
    assert not folder.exists()


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.slow
def test_a_server_that_ignores_the_range(hub: HubServer, folder: Path, ignored: bool) -> None:
    hub.faults.cut_after[VISUAL] = [100_000]
    hub.faults.ignore_range = ignored
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED
    assert hub.sent(VISUAL) == (300_000 if ignored else 200_000)


@pytest.mark.parametrize("name", [VISUAL, "config.json"])
@pytest.mark.slow
def test_a_damaged_file_is_removed_and_named(hub: HubServer, folder: Path, name: str) -> None:
    hub.faults.damaged = {name}
    with pytest.raises(HubError, match=f"{name} of {REPO} arrived damaged .* was removed; run"):
        install(list_repo(REPO), folder)
    assert not folder.exists()
    assert not list((folder.parent / ".partial" / "tiny").glob(f"{name}*"))
    hub.faults = Faults()
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED


@pytest.mark.slow
def test_damage_before_an_interruption_is_found(hub: HubServer, folder: Path) -> None:
    hub.faults.cut_after[VISUAL] = [150_000] + [0] * 20
    with pytest.raises(HubError):
        install(list_repo(REPO), folder)
    part = part_of(folder, VISUAL)
    part.write_bytes(b"\0" + part.read_bytes()[1:])
    hub.faults = Faults()
    with pytest.raises(HubError, match="arrived damaged"):
        install(list_repo(REPO), folder)
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED


@pytest.mark.slow
def test_a_file_longer_than_listed(hub: HubServer, folder: Path) -> None:
    hub.faults.appended[VISUAL] = bytes(100_000_000)
    with pytest.raises(HubError, match="arrived damaged"):
        install(list_repo(REPO), folder)
    assert not folder.exists()
    assert hub.sent(VISUAL) < 50_000_000


@pytest.mark.slow
def test_complete_files_of_an_earlier_attempt_are_verified(hub: HubServer, folder: Path) -> None:
    hub.faults.file_status[VISUAL] = [404]
    with pytest.raises(HubError):
        install(list_repo(REPO), folder)
    waiting = folder.parent / ".partial" / "tiny" / TEXTUAL
    assert waiting.read_bytes() == FILES[TEXTUAL]
    waiting.write_bytes(bytes(SIZE))
    install(list_repo(REPO), folder)
    assert content(folder) == WANTED


@pytest.mark.slow
def test_a_new_version_between_two_attempts_is_not_mixed_with_the_old(hub: HubServer, folder: Path) -> None:
    hub.faults.cut_after[VISUAL] = [150_000] + [0] * 20
    with pytest.raises(HubError):
        install(list_repo(REPO), folder)
    hub.faults = Faults()
    hub.repos[REPO] = tiny_repository("newer", weights=SIZE) | {"visual/extra.json": b"{}"}
    del hub.repos[REPO]["textual/tokenizer_config.json"]
    install(list_repo(REPO), folder)
    expected = {name: hub.repos[REPO][name] for name in model_files(hub.repos[REPO])}
    assert content(folder) == expected
    assert "visual/extra.json" in expected


@pytest.mark.slow
def test_a_repository_with_an_incomplete_model_is_not_installed(hub: HubServer, folder: Path) -> None:
    hub.repos[REPO] = {**FILES, "config.json": b"not JSON"}
    with pytest.raises(
        HubError, match=rf"{REPO} can't be used \(model folder {REPO}: config\.json is not JSON"
    ):
        install(list_repo(REPO), folder)
    assert not folder.exists()
    assert partial_bytes(folder) == 0


@pytest.mark.slow
def test_a_lack_of_disk_space_is_found_before_the_download(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=300_000))
    with pytest.raises(HubError, match=rf"tiny needs 0 MB and {folder.parent} has 0 MB free; make room"):
        install(list_repo(REPO), folder)
    assert hub.sent(TEXTUAL) == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=500_000))
    install(list_repo(REPO), folder)


@pytest.mark.process
def test_a_full_disk_keeps_the_downloaded_part(hub: HubServer, home: Path, folder: Path) -> None:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))\n{INSTALL}"
    failed = hub.run(limit, home)
    _, errors = failed.communicate(timeout=PATIENCE)
    assert failed.returncode == 1
    assert (
        f"HubError: the disk of {folder.parent} is full, so tiny could not be completed; make room" in errors
    )
    assert not folder.exists()
    assert part_of(folder, TEXTUAL).stat().st_size == 120_000
    assert exit_code(hub.run(INSTALL, home)) == 0
    assert content(folder) == WANTED
    assert hub.ranges(TEXTUAL)[-1] == "bytes=120000-"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk"
)
def test_a_real_full_disk(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        folder = disk / "models" / "tiny"
        with pytest.raises(HubError, match=r"tiny needs .* free; make room"):
            install(list_repo(REPO), folder)
        monkeypatch.setattr(
            download, "_check_free_space", lambda *_: None
        )  # as if another program had filled it since
        with pytest.raises(HubError, match=f"the disk of {folder.parent} is full"):
            install(list_repo(REPO), folder)
        assert not folder.exists()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_all_error_numbers_of_a_full_disk(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(HubError, match="is full, so tiny could not be completed"):
        install(list_repo(REPO), folder)


def test_a_home_folder_that_can_not_be_written(hub: HubServer, home: Path, folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(
        HubError, match=rf"tiny can't be written to {folder.parent} \(.+\); set CLIPSIGHT_HOME"
    ):
        install(list_repo(REPO), folder)


@pytest.mark.process
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_is_no_model_and_is_resumed(
    hub: HubServer, home: Path, folder: Path, how: signal.Signals
) -> None:
    hub.faults.seconds_per_block = 0.1
    process = hub.run(INSTALL, home)
    wait_until(lambda: partial_bytes(folder) > 100_000)
    process.send_signal(how)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert not folder.exists()
    kept = part_of(folder, TEXTUAL).stat().st_size
    assert kept >= 100_000 - len(FILES["config.json"])
    hub.faults = Faults()
    wait_until(lambda: hub.idle)  # its last write was to the dead process
    before = hub.sent(TEXTUAL)
    assert exit_code(hub.run(INSTALL, home)) == 0
    assert content(folder) == WANTED
    assert hub.ranges(TEXTUAL)[-1] == f"bytes={kept}-"
    assert hub.sent(TEXTUAL) - before == SIZE - kept


@pytest.mark.process
def test_two_processes_download_every_byte_once(hub: HubServer, home: Path, folder: Path) -> None:
    hub.faults.seconds_per_block = 0.02
    processes = [hub.run(INSTALL, home) for _ in range(2)]
    errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert content(folder) == WANTED
    assert {name: hub.sent(name) for name in WANTED} == {name: len(data) for name, data in WANTED.items()}


@pytest.mark.process
def test_if_one_of_two_processes_is_killed_the_other_finishes(
    hub: HubServer, home: Path, folder: Path
) -> None:
    hub.faults.seconds_per_block = 0.05
    first = hub.run(INSTALL, home)
    wait_until(lambda: partial_bytes(folder) > 50_000)
    second = hub.run(INSTALL, home)
    time.sleep(0.5)
    first.kill()
    first.communicate()
    assert exit_code(second) == 0
    assert content(folder) == WANTED


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_if_wanted(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    install(list_repo(REPO), folder, progress=wanted)
    assert ("downloading tiny" in terminal.getvalue()) is wanted
    assert ("400.1/400.1 kB" in terminal.getvalue()) is wanted


@pytest.mark.slow
def test_no_progress_in_a_pipe(hub: HubServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(list_repo(REPO), folder)
    assert capsys.readouterr() == ("", "")
