"""The user's configuration file in TOML: defaults of command-line options.

    library = "~/photo-index"
    model = "ViT-B-32__laion2b-s34b-b79k"
    threads = 4

An option on the command line takes precedence over its environment variable, and that over the file.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsight.core import paths
from clipsight.core.arguments import MAX_THREADS
from clipsight.core.errors import ConfigError
from clipsight.core.text import visible

_SHOWN = 60
"""Characters of a faulty line that an error quotes."""


@dataclass(frozen=True)
class Config:
    """Defaults of options; None keeps the option's built-in default."""

    library: str | None = None
    """folder of the index, absolute"""
    model: str | None = None
    """a name that `clipsight models` lists, or a model folder"""
    device: str | None = None
    threads: int | None = None
    quiet: bool = False
    color: bool = True

    def options(self) -> dict[str, str | int]:
        """Values that the file sets, by parameter name, of the options that several commands share."""
        values = {name: getattr(self, name) for name in ("library", "model", "device", "threads")}
        return {name: value for name, value in values.items() if value is not None}


def read_config(file: Path | None = None) -> Config:
    """Read a configuration file (default: the user's own, which need not exist).

    Raises `ConfigError`, which names file, line and key, for a file, key or value that can't be used.
    """
    source = file or paths.config_file()
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        if file is None and not os.environ.get(paths.CONFIG):
            return Config()
        raise ConfigError(f"no configuration file {source}") from error
    except OSError as error:
        raise ConfigError(f"can't read the configuration file {source}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{source}, line {line}: not UTF-8 text") from error
    return _parse(text, source)


def _parse(text: str, source: Path) -> Config:
    import tomllib  # every command reads the configuration, and most users have none

    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(_syntax_error(text, source, str(error))) from error
    for key, value in content.items():
        problem = _problem(key, value)
        if problem:
            raise ConfigError(f"{source}, line {_line_of(key, text)}: {problem}")
    known: dict[str, Any] = {**content}
    if "library" in known:
        known["library"] = os.path.expanduser(known["library"])
    return Config(**known)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and all(char >= " " for char in value)


def _path(value: object) -> bool:
    return isinstance(value, str) and _text(value) and os.path.isabs(os.path.expanduser(value))


def _model(value: object) -> bool:
    return isinstance(value, str) and _text(value) and not value.startswith(("./", "../"))


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _threads(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_THREADS


_KEYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "library": (_path, 'the path of a folder in quotes, absolute or like "~/photo-index"'),
    "model": (_model, "a name from `clipsight models` or an absolute path, in quotes"),
    "device": (_text, 'a device in quotes, such as "cpu" or "cuda"'),
    "threads": (_threads, f"a whole number from 1 to {MAX_THREADS}"),
    "quiet": (_flag, "true or false"),
    "color": (_flag, "true or false"),
}
"""Key -> validator of its value, and the valid values in words."""


def _problem(key: str, value: object) -> str:
    if key not in _KEYS:
        from difflib import get_close_matches

        near = get_close_matches(key, _KEYS, 1)
        guess = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(_KEYS)}"
        return f"there is no key {visible(key)!r}; {guess}"
    is_valid, expected = _KEYS[key]
    return "" if is_valid(value) else f"{key} is {_shown(value)}; it has to be {expected}"


def _shown(value: object) -> str:
    text = visible(repr(value).lower() if isinstance(value, bool) else repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _line_of(key: str, text: str) -> int:
    """Line on which the statement that sets `key` begins; without one, that of the first invalid statement.

    tomllib gives no line numbers, so ever longer prefixes of the document are parsed: a prefix is valid if it
    ends with a complete statement.
    """
    import tomllib

    lines = text.split("\n")
    start = 1
    for number in range(1, len(lines) + 1):
        try:
            content = tomllib.loads("\n".join(lines[:number]))
        except (ValueError, RecursionError):
            continue
        if key in content:
            break
        start = number + 1
    return start


def _syntax_error(text: str, source: Path, reason: str) -> str:
    place = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)", reason)
    number = int(place[1]) if place and place[1] else _line_of("", text)
    line = text.split("\n")[number - 1].strip()
    line = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    what = reason[: place.start()] if place else reason.partition(";")[0]
    hint = "; texts stand in quotes" if what == "Invalid value" else ""
    return f"{source}, line {number}, {visible(line)}: {what[:1].lower()}{what[1:]}{hint}"
