"""Width and colours of a stream: those of a real pseudo-terminal, and of a pipe."""

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from clipsight.core.terminal import UNLIMITED, has_colours, width


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """A terminal of 93 columns."""
    for variable in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    other, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 93, 0, 0))
    with os.fdopen(end, "w") as stream:
        yield stream
    os.close(other)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(None, 93), ("70", 70), ("0", 93), ("-3", 93), ("wide", 93), ("", 93), ("3", 20), ("9" * 30, UNLIMITED)],
)
def test_the_width_of_a_terminal(
    screen: TextIO, monkeypatch: pytest.MonkeyPatch, columns: str | None, expected: int
) -> None:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert width(screen) == expected


def test_a_terminal_of_unknown_width_has_eighty_columns(screen: TextIO) -> None:
    fcntl.ioctl(screen.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    assert width(screen) == 80


def test_colours_of_a_terminal(screen: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_colours(screen)
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours(screen)


def test_lines_for_other_programs_are_neither_wrapped_nor_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert width(io.StringIO()) == UNLIMITED and not has_colours(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert has_colours(io.StringIO())
