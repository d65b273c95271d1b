"""Pictures from http(s) URLs, within limits on time and size."""

from clipsight.core import http
from clipsight.core.errors import PhotoError

MAX_BYTES = 64 << 20
TIMEOUT_SECONDS = 20.0

_NOT_PICTURES = ("text/", "application/json", "application/xml", "application/xhtml+xml")
"""Media types that no picture has; servers give some pictures strange types, or none."""


def fetch(url: str) -> bytes:
    """Fetch a picture's file. Raises `PhotoError` if the request fails or the response is not a picture."""
    request = http.Request(url, headers={"Accept": "image/*"}, max_bytes=MAX_BYTES, timeout=TIMEOUT_SECONDS)
    try:
        response = http.send(request)
    except http.HttpError as error:
        raise PhotoError(f"can't fetch it: {error}") from error
    if response.status != 200:
        raise PhotoError(f"can't fetch it: the server answered {response.status} {response.reason}".rstrip())
    if response.content_type.startswith(_NOT_PICTURES):
        raise PhotoError(f"can't fetch it: the server sent {response.content_type}, not a picture")
    return response.body
