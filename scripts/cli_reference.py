"""The command line reference: the command tree of `clipsight` as Markdown.

Print it with `python -m scripts.cli_reference`. The documentation site includes it as a page.
"""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from clipsight.cli.app import app


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the full name, such as `clipsight probe fit`, and the definition of each command."""
    yield from _leaves("clipsight", get_command(app))


def cli_reference() -> str:
    """Return the reference of all commands as one Markdown page."""
    root: Any = get_command(app)
    lines = ["# Command line", "", root.help, ""]
    for name, command in commands():
        lines += [
            f"## {name}",
            "",
            _text(command.help or ""),
            "",
            f"```text\n{_usage(name, command)}\n```",
            "",
        ]
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
        if arguments:
            lines += ["| argument | |", "|---|---|"]
            lines += [f"| `{_metavar(each)}` | {_cell(each.help or '')} |" for each in arguments]
            lines.append("")
        if options:
            lines += ["| option | | default |", "|---|---|---|"]
            lines += [f"| {_names(each)} | {_cell(each.help or '')} | {_default(each)} |" for each in options]
            lines.append("")
    return "\n".join(lines)


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children or command.invoke_without_command:
        yield name, command
    for child_name, child in children.items():
        yield from _leaves(f"{name} {child_name}", child)


def _usage(name: str, command: Any) -> str:
    """The usage line without a terminal's width."""
    arguments = []
    for each in command.params:
        if each.param_type_name == "argument":
            metavar = _metavar(each) + ("..." if each.nargs == -1 else "")
            arguments.append(metavar if each.required else f"[{metavar}]")
    return " ".join([name, "[OPTIONS]", *arguments])


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper().rstrip("_"))


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    choices = getattr(option.type, "choices", None)
    if choices:
        return f"{names} " + " \\| ".join(map(str, choices))
    kind = option.type.name.upper().removesuffix(" RANGE")
    return f"{names} {option.metavar or ('TEXT' if kind == 'STR' else kind)}"


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag:
        return (
            f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
            if option.secondary_opts
            else ""
        )
    if option.default is None or option.default == ():
        return ""
    return f"`{option.default}`"


def _cell(text: str) -> str:
    """Text that is safe inside a table's cell."""
    return _text(" ".join(text.split())).replace("|", "\\|")


def _text(text: str) -> str:
    """Help text with nothing that Markdown takes for HTML."""
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    print(cli_reference())
