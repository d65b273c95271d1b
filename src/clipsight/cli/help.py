"""Help of a command; many options are shown in groups."""

from typing import Any

from typer.core import TyperCommand

_MAX_UNGROUPED = 10
"""Maximum number of options that are shown without groups."""


class GroupedCommand(TyperCommand):
    """A command whose help shows options below the headings of their `rich_help_panel`.

    Typer supports them only with rich, whose import would take longer than the rest of `--help`.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help: arguments, options without a group, groups."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        parameters = self.get_params(ctx)
        options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
        is_grouped = len(options) > _MAX_UNGROUPED
        for parameter in parameters:
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            group = getattr(parameter, "rich_help_panel", None) if is_grouped else None
            default = "Arguments" if parameter.param_type_name == "argument" else "Options"
            sections.setdefault(group or default, []).append(record)
        if len(sections["Options"]) == 1:  # --help alone
            sections["Other"] = sections.pop("Options")
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
