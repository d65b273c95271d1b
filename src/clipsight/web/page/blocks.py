"""The page in one language, assembled from its tabs."""

from typing import Any

import gradio as gr

from clipsight.web.page.classify import Classify
from clipsight.web.page.components import UNQUEUED
from clipsight.web.page.library import Library
from clipsight.web.page.search import Search
from clipsight.web.page.texts import ALL, Texts
from clipsight.web.service.service import Service


def build(service: Service, texts: Texts) -> gr.Blocks:
    """Create the Gradio application of a language; the state of every visitor is kept in the browser."""
    with gr.Blocks(title="clipsight", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(_header(texts), padding=False, elem_id="cs-header")
        library = Library(service, texts)
        with gr.Tabs(elem_id="cs-tabs"):
            with gr.Tab(texts.search, id="search"):
                library.create_welcome()
                with gr.Column(elem_id="cs-search") as search_column:
                    search = Search(service, texts)
            with gr.Tab(texts.classify, id="classify"):
                classify = Classify(service, texts)
            with gr.Tab(texts.library, id="library"):
                library.create_tab()
        search.connect()
        classify.connect(search.detail)
        library.connect()
        _connect_all(blocks, search, library, search_column)
    built: gr.Blocks = blocks
    return built


def _connect_all(blocks: gr.Blocks, search: Search, library: Library, search_column: Any) -> None:
    """Connect the events that concern all tabs: opening the page, and a growing library."""
    service, texts = search.service, search.texts

    def refresh() -> tuple[Any, ...]:
        counts = service.library.status().counts
        is_empty = not counts.present + counts.unreachable
        is_indexing = any(job.running for job in service.indexing.all())
        folders = [
            (texts.all_folders, ""),
            *((str(each.path), each.id) for each in service.library.folders()),
        ]
        labels = [(f"{each.label} ({each.photos:,})", each.label) for each in service.library.labels()]
        return (
            gr.update(visible=not is_empty or is_indexing),
            gr.update(visible=is_empty and not is_indexing, value=library.folders_in([])),
            gr.update(choices=folders),
            gr.update(choices=labels),
            library.summary(),
        )

    def load() -> tuple[Any, ...]:
        models = gr.update(choices=library.model_choices(), value=None)
        return *refresh(), *library.follow(), library.folders_in([]), models

    refreshed = [
        search_column,
        library.welcome,
        search.filters.folder,
        search.filters.labels,
        library.overview,
    ]
    loaded = [*refreshed, library.progress, library.timer, library.chooser, library.models]
    blocks.load(load, None, loaded, **UNQUEUED)
    library.progress.refresh(refresh, None, refreshed, **UNQUEUED)


def _header(texts: Texts) -> str:
    current = ' aria-current="true"'
    links = "".join(
        f'<a href="../{each.code}/" lang="{each.code}" hreflang="{each.code}"'
        f"{current if each is texts else ''}>{each.language}</a>"
        for each in ALL
    )
    return f'<h1>clipsight</h1><nav aria-label="Language">{links}</nav>'
