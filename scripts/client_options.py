"""Write `web/client/search_options.py`, the options of `clipsight search` that a running server can serve.

    python -m scripts.client_options

The client reads a command line without importing typer, which would take ten times as long as the search;
so it needs the command's own definition as plain data. A test compares the file with the definition.
"""

from pathlib import Path
from typing import Any

from typer.main import get_command

import clipsight
from clipsight.cli.app import app

FILE = Path(clipsight.__file__).parent / "web" / "client" / "search_options.py"

FIELDS = {
    *("add", "subtract", "top", "offset", "min_score", "sort", "label"),
    *("balance", "sure", "exact", "duplicates", "text", "text_only"),
}
"""Parameters of the command that are fields of the request."""

LOCAL = {"library", "server"}
"""Parameters that say where the server is."""

FORMS = {"as_json": "json", "as_csv": "csv", "filepath_only": "paths", "null": "paths-0"}
"""Flags that choose a form of the output."""


def generate() -> str:
    """The module's text, from the definition of the command."""
    flags: dict[str, tuple[str, str]] = {}
    options: dict[str, str] = {}
    root: Any = get_command(app)
    for parameter in root.commands["search"].params:
        if parameter.name in FORMS:
            flags |= dict.fromkeys(parameter.opts, ("form", FORMS[parameter.name]))
        elif parameter.name not in FIELDS | LOCAL:
            continue
        elif parameter.is_flag:
            flags |= dict.fromkeys(parameter.opts, (parameter.name, "true"))
            flags |= dict.fromkeys(parameter.secondary_opts, (parameter.name, "false"))
        else:
            options |= dict.fromkeys(parameter.opts, parameter.name)
    lines = [
        '"""Options of `clipsight search` that a server can serve, by `python -m scripts.client_options`."""',
        "",
        "FLAGS = {",
        *(f'    "{name}": ("{field}", "{value}"),' for name, (field, value) in flags.items()),
        "}",
        '"""Flags without a value, as a field of the request and its value."""',
        "",
        "OPTIONS = {",
        *(f'    "{name}": "{field}",' for name, field in options.items()),
        "}",
        '"""Options with a value, as a field of the request."""',
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    FILE.write_text(generate())
