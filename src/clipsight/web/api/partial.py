"""Conditional requests and byte ranges (RFC 9110, 13 and 14)."""

import re
from collections.abc import Mapping

import xxhash
from fastapi import Request, Response

from clipsight.web.server.errors import error_response

_RANGE = re.compile(r"bytes=\s*([0-9]{0,1000})-([0-9]{0,1000})\s*", re.IGNORECASE)


def data_response(request: Request, data: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """`data`, or the range of it that is requested; its entity tag is a hash of `data`.

    As the standard allows, a request for several ranges, or for a malformed one, gets all of it.
    """
    tag = f'"{xxhash.xxh3_128_hexdigest(data)}"'
    headers = {**headers, "ETag": tag, "Accept-Ranges": "bytes"}
    if is_unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if wanted is None or request.headers.get("if-range", tag) != tag:
        return Response(data, media_type=media_type, headers=headers)
    size = len(data)
    found = _parse(wanted, size)
    if found is None:
        return Response(data, media_type=media_type, headers=headers)
    if not found:
        detail = f"the file has {size} bytes, none of them in this range"
        return error_response(
            416, "bad_range", detail, {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        )
    headers["Content-Range"] = f"bytes {found.start}-{found.stop - 1}/{size}"
    return Response(data[found.start : found.stop], 206, headers, media_type)


def is_unchanged(request: Request, tag: str) -> bool:
    """Check if the client has the content with this entity tag already (If-None-Match)."""
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return tag in known or known == ["*"]


def _parse(header: str, size: int) -> range | None:
    """Bytes of a Range header, none if it can't be satisfied; None for several ranges and invalid ones."""
    match = _RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
