"""Lines for people on stdout, in the encoding of the locale; text and JSON for programs, always in UTF-8."""

import sys
from collections.abc import Iterable

from clipsight.core.text import to_json, visible


def print_line(text: str) -> None:
    """Print one line on stdout; control characters, also line breaks, are escaped."""
    print(visible(text), flush=True)


def write_text(*parts: str) -> None:
    """Write `parts` to stdout; surrogates become the original bytes of paths."""
    write_stream(parts)


def write_stream(parts: Iterable[str]) -> None:
    """Write each of `parts` to stdout as it is yielded; surrogates become the original bytes of paths."""
    sys.stdout.flush()
    for part in parts:
        sys.stdout.buffer.write(part.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def print_json(content: object) -> None:
    """Print JSON, indented; only bytes of paths that are not UTF-8 are escaped."""
    write_text(to_json(content), "\n")
