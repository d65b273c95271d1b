"""The page in one language, put together from its tabs. Called by `page.mount`."""

from typing import Any

import gradio as gr

from clipsight.web.page.classify import Classify
from clipsight.web.page.library import Library
from clipsight.web.page.piece import QUIETLY
from clipsight.web.page.search import Search
from clipsight.web.page.texts import ALL, Texts
from clipsight.web.service.service import Service


def build(service: Service, texts: Texts) -> gr.Blocks:
    """A Gradio application of this language; every visitor has its own state, in the browser."""
    with gr.Blocks(title="clipsight", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(_header(texts), padding=False, elem_id="cs-header")
        library = Library(service, texts)
        with gr.Tabs(elem_id="cs-tabs"):
            with gr.Tab(texts.search, id="search"):
                library.greet()
                with gr.Column(elem_id="cs-search") as found:
                    search = Search(service, texts)
            with gr.Tab(texts.classify, id="classify"):
                classify = Classify(service, texts)
            with gr.Tab(texts.library, id="library"):
                library.tab()
        search.connect()
        classify.connect(search.detail)
        library.connect()
        _connect_all(blocks, search, library, found)
    built: gr.Blocks = blocks
    return built


def _connect_all(blocks: gr.Blocks, search: Search, library: Library, found: Any) -> None:
    """What the whole page does when it is opened, and while the library grows."""
    service, texts = search.service, search.texts

    def refresh() -> tuple[Any, ...]:
        counts = service.status().counts
        empty = not counts.present + counts.unreachable
        indexing = any(job.running for job in service.jobs())
        folders = [(texts.all_folders, ""), *((str(each.path), each.id) for each in service.folders())]
        labels = [(f"{each.label} ({each.photos:,})", each.label) for each in service.labels()]
        return (
            gr.update(visible=not empty or indexing),
            gr.update(visible=empty and not indexing, value=library.folders_in([])),
            gr.update(choices=folders),
            gr.update(choices=labels),
            library.summary(),
        )

    def opened() -> tuple[Any, ...]:
        models = gr.update(choices=library.model_choices(), value=None)
        return *refresh(), *library.follow(), library.folders_in([]), models

    growing = [found, library.welcome, search.filters.folder, search.filters.labels, library.overview]
    blocks.load(
        opened, None, [*growing, library.progress, library.timer, library.chooser, library.models], **QUIETLY
    )
    library.progress.grown(refresh, None, growing, **QUIETLY)


def _header(texts: Texts) -> str:
    current = ' aria-current="true"'
    links = "".join(
        f'<a href="../{each.code}/" lang="{each.code}" hreflang="{each.code}"'
        f"{current if each is texts else ''}>{each.language}</a>"
        for each in ALL
    )
    return f'<h1>clipsight</h1><nav aria-label="Language">{links}</nav>'
