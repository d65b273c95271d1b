"""Text and JSON on stdout are UTF-8 in any locale."""

import io
import json
import sys

import pytest

from clipsight.render.stdout import print_json, write_stream, write_text


def ascii_stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Give Python a stdout whose own encoding is ASCII, and return what will be written to it."""
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout, encoding="ascii", write_through=True))
    return stdout


def test_json_escapes_only_what_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ascii_stdout(monkeypatch)
    content = {"label": "猫 🐱", "path": "caf\udce9"}
    print_json(content)
    assert written.getvalue().decode() == '{\n  "label": "猫 🐱",\n  "path": "caf\\udce9"\n}\n'
    assert json.loads(written.getvalue()) == content


def test_paths_are_written_with_their_original_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ascii_stdout(monkeypatch)
    write_text("caf\udce9 ", "猫\n")
    assert written.getvalue() == b"caf\xe9 \xe7\x8c\xab\n"


def test_a_stream_follows_what_was_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ascii_stdout(monkeypatch)
    print("first", end=" ")
    write_stream(iter(["second ", "third"]))
    assert written.getvalue() == b"first second third"
