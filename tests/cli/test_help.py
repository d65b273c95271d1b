"""Help on a terminal of 80 columns: summaries that fit, and options in groups where there are many."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from clipsight.cli.app import app
from tests.support.shell import Shell


def groups_and_commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The words of every command below `command` and itself, and if it is a group."""
    below = getattr(command, "commands", {})
    yield words, bool(below)
    for name, each in below.items():
        yield from groups_and_commands(each, (*words, name))


COMMANDS = tuple(groups_and_commands(get_command(app)))


@pytest.mark.parametrize("words", [words for words, is_group in COMMANDS if is_group], ids=" ".join)
def test_summaries_of_commands_fit(words: tuple[str, ...], shell: Shell) -> None:
    """Typer would cut one that does not, and mark that by an ellipsis."""
    lines = shell.run(*words, "--help", COLUMNS="80").stdout.partition("Commands:")[2].splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS], ids=" ".join)
def test_help_fits(words: tuple[str, ...], shell: Shell) -> None:
    text = shell.run(*words, "--help", COLUMNS="80").stdout
    assert [line for line in text.splitlines() if len(line) > 80] == []


def headings(text: str) -> list[str]:
    return [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]


def test_many_options_are_in_groups(shell: Shell) -> None:
    text = shell.run("search", "--help", COLUMNS="80").stdout
    assert headings(text) == [
        "Arguments",
        "Query",
        "Results",
        "Filters",
        "Output",
        "Library and model",
        "Other",
    ]
    filters = text.partition("Filters:")[2].partition("Output:")[0]
    assert "--camera" in filters and "--min-width" in filters and "--json" not in filters


def test_few_options_are_not(shell: Shell) -> None:
    assert headings(shell.run("status", "--help").stdout) == ["Options"]
    assert headings(shell.run("forget", "--help").stdout) == ["Arguments", "Options"]


def test_options_without_a_group_come_first(shell: Shell) -> None:
    assert headings(shell.run("index", "--help").stdout) == ["Arguments", "Options", "Library and model"]
