"""Searches answered by a running server: which ones it handles, and which are left to the command."""

import subprocess
import sys
from pathlib import Path

import pytest

from clipsight.core.config import Config
from clipsight.web.client import discovery
from clipsight.web.client.discovery import ServerFile
from clipsight.web.client.local import find_server, parse_arguments, try_server
from scripts import client_options

LIBRARY = ("--library", "some/library")


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("search -n cat", [("q", "cat")]),
        ("search --no-indexing cat --json -t 3", [("q", "cat"), ("form", "json"), ("top", "3")]),
        (
            "search -n cat --top=3 --label a --label=b",
            [("q", "cat"), ("top", "3"), ("label", "a"), ("label", "b")],
        ),
        ("search -n two dogs", [("q", "two dogs")]),
        ("search -n horse + 2:stripes - zebra -t 3", [("q", "horse + 2:stripes - zebra"), ("top", "3")]),
        ("search cat --server http://nas:1", [("q", "cat"), ("server", "http://nas:1")]),
        (
            "search -n cat -a dog -s bird -0",
            [("q", "cat"), ("add", "dog"), ("subtract", "bird"), ("form", "paths-0")],
        ),
    ],
)
def test_results_are_those_of_the_server(line: str, asked: list[tuple[str, str]]) -> None:
    assert parse_arguments(line.split()) == asked


@pytest.mark.parametrize(
    "line",
    [
        "",
        "index",
        "search cat",  # looks for new photos first
        "search -n",
        "search -n cat ./folder",
        "search -n cat /tmp",
        "search -n cat --grid x.png",
        "search -n cat --preview",
        "search -n cat --model builtin",
        "search -n cat --top",
        "search -n cat --json --csv",
        "search -n ./cat.jpg",
        "search -n cat.jpg",
        "search -n ~/cat",
        "search -n https://example.org/cat",
        "search -n cat -a ./dog.jpg",
        "search -n cat --after 2024",
        "search -n --help",
    ],
)
def test_other_searches_are_left_to_the_command(line: str) -> None:
    assert parse_arguments(line.split()) is None


@pytest.mark.parametrize(
    "query", ["cat + ./x.jpg", "cat - 2:./x.jpg", "cat\t+\t/x", "a b + 1:x.png", "2:HTTP://x"]
)
def test_pictures_among_words_are_left_to_the_command(query: str) -> None:
    assert parse_arguments(["search", "-n", query]) is None


def test_a_word_is_no_picture_even_if_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat").touch()
    for query in ("cat", "dog + cat", "dog - 2:cat"):
        assert parse_arguments(["search", "-n", query]) == [("q", query)]
    for query in ("./cat", "dog + ./cat", "dog - 2:./cat"):
        assert parse_arguments(["search", "-n", query]) is None
    (tmp_path / "sea").mkdir()
    assert parse_arguments(["search", "-n", "dog", "sea"]) is None  # a folder


# -- where the server is ----------------------------------------------------------------------


def test_a_server_is_found_while_it_runs(tmp_path: Path) -> None:
    assert discovery.find(str(tmp_path)) is None
    held = ServerFile(str(tmp_path))
    assert discovery.find(str(tmp_path)) is None  # it does not answer yet
    held.write("http://127.0.0.1:1", "secret")
    assert discovery.find(str(tmp_path)) == ("http://127.0.0.1:1", "secret")
    assert find_server([("q", "x"), ("library", str(tmp_path))]) == ("http://127.0.0.1:1", "secret")
    assert (tmp_path / discovery.NAME).stat().st_mode & 0o777 == 0o600
    with pytest.raises(BlockingIOError):
        ServerFile(str(tmp_path))
    held.remove()
    assert discovery.find(str(tmp_path)) is None and not (tmp_path / discovery.NAME).exists()


def test_the_configuration_file_names_the_library(tmp_path: Path) -> None:
    held = ServerFile(str(tmp_path))
    held.write("http://127.0.0.1:1", None)
    try:
        assert find_server([("q", "x")], Config(library=str(tmp_path))) == ("http://127.0.0.1:1", "")
        assert find_server([("q", "x")], Config(library=str(tmp_path), model="tiny")) is None
        assert find_server([("q", "x"), ("library", "/none")], Config(library=str(tmp_path))) is None
    finally:
        held.remove()


def test_a_faulty_configuration_file_is_left_to_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = ServerFile(str(tmp_path))
    held.write("http://127.0.0.1:1", None)
    (tmp_path / "config.toml").write_text("threads")
    monkeypatch.setenv("CLIPSIGHT_CONFIG", str(tmp_path / "config.toml"))
    assert try_server(["search", "-n", "cat", "--library", str(tmp_path)]) is None
    held.remove()


@pytest.mark.process
def test_a_file_that_a_killed_server_left_is_no_server(tmp_path: Path) -> None:
    script = (
        "import os, sys; from clipsight.web.client.discovery import ServerFile; "
        "ServerFile(sys.argv[1]).write('http://127.0.0.1:1', None); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / discovery.NAME).read_text().startswith("http")
    assert discovery.find(str(tmp_path)) is None
    ServerFile(str(tmp_path)).write("http://127.0.0.1:2", None)


def test_without_a_clipsight_server_the_command_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", "-n", "cat", "--library", str(tmp_path)]
    assert try_server(arguments) is None
    held = ServerFile(str(tmp_path))
    for url in (
        "http://127.0.0.1:1",
        "http://127.0.0.1:0",
        "nonsense",
        "http://[::1]:1",
        "http://nowhere.invalid:80",
    ):
        held.write(url + " " * 40, None)
        assert try_server(arguments) is None
        assert try_server(["search", "cat", "--server", url]) is None
    assert capsys.readouterr().out == ""
    held.remove()


def test_its_options_are_those_of_the_command() -> None:
    assert client_options.FILE.read_text() == client_options.generate(), (
        "run: python -m scripts.client_options"
    )


@pytest.mark.process
def test_slow_modules_are_not_imported() -> None:
    script = (
        "import sys; before = set(sys.modules); import clipsight.web.client.local as local; "
        "local.find_server([]); print(*set(sys.modules) - before)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    heavy = {
        "json",
        "socket",
        "http",
        "urllib",
        "pathlib",
        "numpy",
        "typer",
        "rich",
        "platformdirs",
    }
    assert not heavy & set(out.split())
