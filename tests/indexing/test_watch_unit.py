"""Services of systemd and launchd that watch."""

import plistlib
import sys
from pathlib import Path

import pytest

from clipsight.core.errors import LibraryError
from clipsight.indexing.watch_unit import watch_unit


def test_systemd_unit(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" $c 100% \\d'
    text = watch_unit([folder], library="/lib", settle=3, rescan=5, platform="linux")
    (command,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    assert command.startswith(f'ExecStart="{sys.executable}" "-m" "clipsight" "watch" "--settle" "3" ')
    assert command.endswith(f'"--rescan" "5" "--library" "/lib" "{quoted}"')
    assert [line for line in text.splitlines() if line.startswith("[")] == [
        "[Unit]",
        "[Service]",
        "[Install]",
    ]


def test_launchd_property_list() -> None:
    text = watch_unit(["/photos/<new> & old"], platform="darwin")
    found = plistlib.loads(text.encode())
    assert found["Label"] == "clipsight.watch" and found["RunAtLoad"] is True
    assert found["ProgramArguments"] == [
        *(sys.executable, "-m", "clipsight", "watch", "--settle", "2", "--rescan", "60"),
        "/photos/<new> & old",
    ]


@pytest.mark.parametrize("name", ["two\nlines", "bad\udcff", "bell\a"])
def test_paths_that_such_a_file_cant_hold_are_refused(name: str) -> None:
    for platform in ("linux", "darwin"):
        with pytest.raises(LibraryError, match="can't be written into a service"):
            watch_unit([f"/photos/{name}"], platform=platform)
