"""The web page: searching, classifying and indexing in the browser.

One Gradio application per language, at /en/, /zh-Hant/ and /zh-Hans/; / redirects to the language of the
browser. The page loads nothing from other hosts, and takes photos from /api/v1.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio.themes import Base

    from clipsight.web.service.service import Service

_STATIC = Path(__file__).parent / "static"

_GRADIO_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    # After every event, Gradio computes statistics of the last 10,000 with pandas, for a page that is not
    # served here.
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(1 << 60),
}
"""Settings that Gradio reads from environment variables only."""


def mount(app: "FastAPI", service: "Service") -> None:
    """Add the page to `app`, after all routes of the API, which has to serve the same `service`."""
    with ThreadPoolExecutor(1) as thread:  # the caller's thread may run an event loop already
        thread.submit(asyncio.run, _mount(app, service)).result()


async def _mount(app: "FastAPI", service: "Service") -> None:
    """Implements `mount`; needs an event loop, without which Gradio leaks one for each of its locks."""
    os.environ.update(_GRADIO_ENVIRONMENT)
    import gradio as gr
    from fastapi.staticfiles import StaticFiles

    from clipsight.web.page.blocks import build
    from clipsight.web.page.middleware import GradioFilter
    from clipsight.web.page.texts import ALL

    for texts in ALL:
        gr.mount_gradio_app(
            app,
            build(service, texts),
            path=f"/{texts.code}",
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            show_error=False,
            max_file_size=1,
            theme=_theme(),
            css_paths=[_STATIC / "page.css"],
            js=f"document.documentElement.lang = '{texts.code}'",
        )
    app.mount("/page", StaticFiles(directory=_STATIC))
    for path, file in (("/favicon.ico", "icon.svg"), ("/manifest.json", "manifest.json")):
        app.add_route(path, _file_endpoint(file), include_in_schema=False)
    app.add_route("/", _redirect_to_language, include_in_schema=False)
    app.add_middleware(GradioFilter, mounts=tuple(f"/{texts.code}" for texts in ALL))


def _redirect_to_language(request: Request) -> RedirectResponse:
    from clipsight.web.page.texts import preferred

    code = preferred(request.headers.get("accept-language", "")).code
    query = f"?{request.url.query}" if request.url.query else ""
    prefix = request.scope.get("root_path", "")  # a proxy may pass it on without a slash at its end
    start = f"{prefix}/" if prefix else ""
    return RedirectResponse(f"{start}{code}/{query}", 307, {"Vary": "Accept-Language"})


def _file_endpoint(file: str) -> Callable[[Request], FileResponse]:
    return lambda request: FileResponse(_STATIC / file)


def _theme() -> "Base":
    """Gradio's base theme with system fonts: its default fonts are loaded from Google."""
    import gradio as gr

    return gr.themes.Base(
        primary_hue=gr.themes.colors.sky,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        button_primary_background_fill="#0369a1",
        button_primary_background_fill_hover="#075985",
        button_primary_background_fill_dark="#0369a1",
        button_primary_background_fill_hover_dark="#075985",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
    )
