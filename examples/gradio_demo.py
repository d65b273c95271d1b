"""The well-known kind of demo: words or a picture in, a gallery out. Needs `pip install gradio`."""

import sys
from pathlib import Path

import gradio as gr

from clipsight import Library

library = Library.open()


def search(words: str, picture: str | None) -> list[tuple[str, str]]:
    """Paths and captions of the best photos."""
    if not words and not picture:
        return []
    query = words or Path(picture or "")
    found = library.search(query, 20, add=[Path(picture)] if words and picture else ())
    return [(str(match.path), f"{match.score:.3f}") for match in found if match.reachable]


demo = gr.Interface(search, [gr.Text(label="Words"), gr.Image(type="filepath")], gr.Gallery(label="Photos"))
folders = [str(root.path, "utf-8", "surrogateescape") for root, _ in library.status().folders]
demo.launch(allowed_paths=folders, server_port=int(sys.argv[1]) if sys.argv[1:] else None)
