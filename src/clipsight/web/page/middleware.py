"""Access to Gradio's routes: the page itself and its events, and nothing that names a file.

Gradio serves and accepts files (`/file=`, `/upload`, `/proxy=`, `/stream`), queues events, describes and runs
every function for programs (`/info`, `/call`, `/api`), and edits and monitors applications. The page needs
none of that, and programs have /api/v1; routes that are not listed here are not found.
"""

import json
import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsight.web.server.rewrite import path_below_root

_EVENT = "/gradio_api/run/predict"
_ALLOWED = {
    "GET": re.compile(r"/(config|theme\.css|favicon\.ico|(assets|static)(/[\w-][\w.-]*)+)?"),
    "POST": re.compile(_EVENT),
}
_ALLOWED["HEAD"] = _ALLOWED["GET"]


class GradioFilter:
    """An ASGI middleware that filters the requests below `mounts`, such as "/en"."""

    def __init__(self, app: ASGIApp, mounts: tuple[str, ...]) -> None:
        self.app, self.mounts = app, mounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        path = self._path_below_mount(scope)
        if path is None:
            await self.app(scope, receive, send)
        elif not _is_allowed(scope, path):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif path == _EVENT:
            await self._event(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _path_below_mount(self, scope: Scope) -> str | None:
        if scope["type"] not in ("http", "websocket"):
            return None
        path = path_below_root(scope)
        for mount in self.mounts:
            if path == mount or path.startswith(f"{mount}/"):
                return str(path[len(mount) :])
        return None

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward an event unless a value of it is an object: Gradio copies the files that objects name.

        The body is serialised again, so that Gradio parses exactly what was checked.
        """
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            event = json.loads(body)
            is_plain = all(map(_is_plain, event["data"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            is_plain = False
        if not is_plain:
            await PlainTextResponse("Bad Request", 400)(scope, receive, send)
            return
        checked: list[Message] = [{"type": "http.request", "body": json.dumps(event).encode()}]

        async def receive_checked() -> Message:
            return checked.pop() if checked else await receive()

        await self.app(scope, receive_checked, send)


def _is_allowed(scope: Scope, path: str) -> bool:
    if scope["type"] != "http" or b"deep_link" in scope["query_string"]:
        return False
    allowed = _ALLOWED.get(scope["method"])
    return path == "" or (allowed is not None and allowed.fullmatch(path) is not None)


def _is_plain(value: object) -> bool:
    """True for a string, number, boolean or None, and for a list of these."""
    values = value if isinstance(value, list) else [value]
    return all(each is None or isinstance(each, (str, int, float)) for each in values)
