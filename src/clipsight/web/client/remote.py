"""A search by the server at an address: `clipsight search --server URL`.

Queries of words alone are handled by `local`, which starts faster.
"""

import base64
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from clipsight.core import http
from clipsight.core.errors import QueryError, ServerError
from clipsight.core.paths import expand
from clipsight.core.text import visible
from clipsight.search.options import DEFAULT_OPTIONS, SearchOptions
from clipsight.search.query import Kind, Part, Query
from clipsight.search.results import Match, Matches
from clipsight.store.filters import Filters

_TIMEOUT_SECONDS = 60.0


def search(url: str, query: Query, options: SearchOptions = DEFAULT_OPTIONS) -> Matches:
    """Matches found by the server at `url`, with its paths; the token is read from CLIPSIGHT_TOKEN.

    Picture files in the query are uploaded. Raises `QueryError` for the address of a picture and for filters
    other than labels, and `ServerError`.
    """
    if options.filters != Filters(labels=options.filters.labels):
        raise QueryError("a server filters by labels only: leave out folders and other filters")
    changed = {field.name: getattr(options, field.name) for field in fields(options)}
    request = {name: value for name, value in changed.items() if value != getattr(DEFAULT_OPTIONS, name)}
    request.pop("filters", None)
    request["labels"] = list(options.filters.labels)
    request["parts"] = [_to_json(part) for part in query.parts]
    found = _post(f"{url.rstrip('/')}/api/v1/search", request)
    return Matches(str(query), found["model"], tuple(map(_match, found["matches"])), tuple(found["notes"]))


def _to_json(part: Part) -> dict[str, Any]:
    if part.kind is Kind.URL:
        raise QueryError(f"a server fetches no addresses: download {part.value} and name the file")
    if part.kind is Kind.TEXT:
        return {"text": part.value, "weight": part.weight}
    if part.kind is Kind.PRINTED:
        return {"printed": part.value, "weight": part.weight}
    file = expand(part.value)
    try:
        data = base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        raise QueryError(f"can't read the picture {part.value}: {error.strerror}") from error
    return {"picture": data, "name": file.name.encode(errors="replace").decode(), "weight": part.weight}


def _post(url: str, content: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token := os.environ.get("CLIPSIGHT_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = http.Request(url, json.dumps(content).encode(), headers, timeout=_TIMEOUT_SECONDS)
    try:
        answer = http.send(request)
        found = json.loads(answer.body) if answer.content_type == "application/json" else None
    except (http.HttpError, ValueError) as error:
        raise ServerError(
            f"no clipsight server answers at {url} ({error}): start one with clipsight serve"
        ) from error
    if answer.status == 200 and isinstance(found, dict) and {"model", "matches", "notes"} <= found.keys():
        return found
    if answer.status == 200:
        raise ServerError(f"what answers at {url} is not a clipsight server: check the address")
    why = str(found["detail"]) if isinstance(found, dict) and "detail" in found else answer.reason
    hint = ": set CLIPSIGHT_TOKEN" if answer.status == 401 else ""
    raise ServerError(f"the server at {url} refuses: {why or answer.status}{hint}")


def _match(found: dict[str, Any]) -> Match:
    return Match(
        path=Path(found["path"]),
        score=found["score"],
        id=found["id"],
        width=found["width"],
        height=found["height"],
        taken=found["taken"],
        taken_source=found.get("taken_source"),  # absent in responses of older servers
        copies=tuple(map(Path, found.get("copies", ()))),
        text=tuple(map(visible, found.get("text", ()))),
        size=0,
        reachable=True,
    )
