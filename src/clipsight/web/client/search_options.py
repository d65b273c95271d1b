"""Options of `clipsight search` that a server can serve, by `python -m scripts.client_options`."""

FLAGS = {
    "--balance": ("balance", "true"),
    "--no-balance": ("balance", "false"),
    "--text": ("text", "true"),
    "--no-text": ("text", "false"),
    "--text-only": ("text_only", "true"),
    "--exact": ("exact", "true"),
    "--duplicates": ("duplicates", "true"),
    "--sure": ("sure", "true"),
    "--paths": ("form", "paths"),
    "--filepath-only": ("form", "paths"),
    "-f": ("form", "paths"),
    "-0": ("form", "paths-0"),
    "--json": ("form", "json"),
    "--csv": ("form", "csv"),
}
"""Flags without a value, as a field of the request and its value."""

OPTIONS = {
    "--add": "add",
    "-a": "add",
    "--subtract": "subtract",
    "-s": "subtract",
    "--top": "top",
    "-t": "top",
    "--offset": "offset",
    "--min-score": "min_score",
    "--sort": "sort",
    "--label": "label",
    "--server": "server",
    "--library": "library",
}
"""Options with a value, as a field of the request."""
