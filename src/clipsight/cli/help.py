"""Help of a command: its options in groups, if there are many."""

from typing import Any

from typer.core import TyperCommand

_MANY = 10


class GroupedCommand(TyperCommand):
    """A command whose help shows options below the headings that `rich_help_panel` gives them.

    Typer does so by rich only, whose import would take longer than everything else of `--help`.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help: arguments, options without a group, groups."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        parameters = self.get_params(ctx)
        is_grouped = sum(parameter.param_type_name == "option" for parameter in parameters) > _MANY
        for parameter in parameters:
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            group = getattr(parameter, "rich_help_panel", None) if is_grouped else None
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            sections.setdefault(group or usual, []).append(record)
        if len(sections["Options"]) == 1:  # --help alone
            sections["Other"] = sections.pop("Options")
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
