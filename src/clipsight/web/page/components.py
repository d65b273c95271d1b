"""Custom components: `gr.HTML` elements that our scripts, `static/NAME.js`, render and control.

Python and the script exchange one JSON text in each direction (the value), and events with data. Gradio's own
components for images and files are not used: they upload into a folder and name files by path.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr

from clipsight.web.page.texts import Texts

SCRIPTS = ("common", "query", "rows", "gallery", "detail", "classify", "library")


def script_component(
    script: str, texts: Texts, *, name: str | None = None, events: Sequence[str] = ()
) -> Any:
    """Create a component that the function `clipsight.SCRIPT` renders and that triggers `events`.

    Its id in the page is cs-NAME (default: cs-SCRIPT); its value is JSON, or None at first.
    """
    quoted = " ".join(f"'{event}'" for event in events)  # Gradio allows events that are quoted in the script
    return gr.HTML(
        html_template="",
        js_on_load=f"window.clipsight.{script}({{element, trigger, props, watch}}) // {quoted}",
        head="".join(f'<script src="../page/{name}.js"></script>' for name in SCRIPTS),
        apply_default_css=False,
        elem_id=f"cs-{name or script}",
        elem_classes=["cs"],
        texts=asdict(texts),
    )


UNQUEUED: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "queue": False}
"""Event settings: run at once, without a spinner; of events in quick succession, always run the last.

Gradio's queue is not used: it closes its stream of responses whenever no event is pending, and an event that
is sent at that moment never gets a response.
"""


def json_value(**fields: Any) -> str:
    """A component's value."""
    return json.dumps(fields, ensure_ascii=False)
