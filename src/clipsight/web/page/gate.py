"""What of Gradio can be reached: the page itself and its events, and nothing that names a file. For `mount`.

Gradio serves and takes files (`/file=`, `/upload`, `/proxy=`, `/stream`), queues events, describes and runs
every function for programs (`/info`, `/call`, `/api`), and edits and monitors applications. The page needs
none of it, programs have /api/v1; what isn't named here is not found.
"""

import json
import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EVENT = "/gradio_api/run/predict"
_NEEDED = {
    "GET": re.compile(r"/(config|theme\.css|favicon\.ico|(assets|static)(/[\w-][\w.-]*)+)?"),
    "POST": re.compile(_EVENT),
}
_NEEDED["HEAD"] = _NEEDED["GET"]


class Gate:
    """An ASGI application in front of another, for requests below `places`, such as "/en"."""

    def __init__(self, app: ASGIApp, places: tuple[str, ...]) -> None:
        self.app, self.places = app, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = self._below(scope)
        if below is None:
            await self.app(scope, receive, send)
        elif not _is_needed(scope, below):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif below == _EVENT:
            await self._event(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _below(self, scope: Scope) -> str | None:
        """The path below one of the places."""
        if scope["type"] not in ("http", "websocket"):
            return None
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for place in self.places:
            if path == place or path.startswith(f"{place}/"):
                return str(path[len(place) :])
        return None

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an event on, unless a value is an object: Gradio copies the file that an object names.

        What is passed on is what was looked at, written anew.
        """
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            event = json.loads(body)
            is_ours = all(map(_is_plain, event["data"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            is_ours = False
        if not is_ours:
            await PlainTextResponse("Bad Request", 400)(scope, receive, send)
            return
        seen: list[Message] = [{"type": "http.request", "body": json.dumps(event).encode()}]

        async def receive_seen() -> Message:
            return seen.pop() if seen else await receive()

        await self.app(scope, receive_seen, send)


def _is_needed(scope: Scope, below: str) -> bool:
    if scope["type"] != "http" or b"deep_link" in scope["query_string"]:
        return False
    needed = _NEEDED.get(scope["method"])
    return below == "" or (needed is not None and needed.fullmatch(below) is not None)


def _is_plain(value: object) -> bool:
    """Whether a component's value is a text, number, truth value or nothing, or a list of these."""
    values = value if isinstance(value, list) else [value]
    return all(each is None or isinstance(each, (str, int, float)) for each in values)
