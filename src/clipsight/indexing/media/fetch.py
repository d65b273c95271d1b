"""Query pictures from an http(s) URL, fetched with limits on time and bytes."""

from clipsight.core.errors import QueryError

MAX_BYTES = 64 << 20
TIMEOUT_SECONDS = 20.0

_NOT_PICTURES = ("text/", "application/json", "application/xml", "application/xhtml+xml")
"""Media types that no picture has; servers give some pictures strange types, or none."""


def fetch_picture(url: str) -> bytes:
    """The bytes at `url`. Raises `QueryError` for a URL, an answer or a media type that can't be used."""
    from clipsight.core import http

    request = http.Request(url, headers={"Accept": "image/*"}, max_bytes=MAX_BYTES, timeout=TIMEOUT_SECONDS)
    try:
        answer = http.send(request)
    except http.HttpError as error:
        raise QueryError(f"can't fetch {url}: {error}") from error
    if answer.status != 200:
        raise QueryError(f"can't fetch {url}: the server answered {answer.status} {answer.reason}".rstrip())
    if answer.content_type.startswith(_NOT_PICTURES):
        raise QueryError(f"can't fetch {url}: the server sent {answer.content_type}, not a picture")
    return answer.body
