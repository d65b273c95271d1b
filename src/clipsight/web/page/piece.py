"""A part of the page that has a script of its own: `static/NAME.js`, called by all tabs.

Between Python and the script there is one JSON text each way (the value), and events with some data. Gradio's
own components for pictures and files are not used: they upload into a folder and name files by their paths.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr

from clipsight.web.page.texts import Texts

SCRIPTS = ("common", "ask", "rows", "gallery", "detail", "classify", "library")


def piece(script: str, texts: Texts, *, name: str | None = None, events: Sequence[str] = ()) -> Any:
    """A `gr.HTML` that `clipsight.SCRIPT` fills and that triggers `events`; its id in the page is cs-NAME.

    Its value is JSON, or None for nothing yet.
    """
    names = " ".join(f"'{name}'" for name in events)  # Gradio allows the events that the script has in quotes
    return gr.HTML(
        html_template="",
        js_on_load=f"window.clipsight.{script}({{element, trigger, props, watch}}) // {names}",
        head="".join(f'<script src="../page/{name}.js"></script>' for name in SCRIPTS),
        apply_default_css=False,
        elem_id=f"cs-{name or script}",
        elem_classes=["cs"],
        texts=asdict(texts),
    )


QUIETLY: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "queue": False}
"""How events are answered that come often: at once, the latest always, without a spinner.

Not through Gradio's queue: its stream of answers is closed after each last one, and an event that is sent
while that happens is never answered.
"""


def say(**fields: Any) -> str:
    """A value for a piece."""
    return json.dumps(fields, ensure_ascii=False)
