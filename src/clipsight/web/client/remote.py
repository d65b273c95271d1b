"""A search by a server elsewhere: `clipsight search --server URL`.

Queries of words alone take the shorter way of `local`.
"""

import base64
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from clipsight.core.errors import QueryError
from clipsight.search.options import DEFAULT_OPTIONS, SearchOptions
from clipsight.search.query import Kind, Part, Query
from clipsight.search.results import Match, Matches
from clipsight.store.filters import Filters
from clipsight.web.service.errors import ServerError

_TIMEOUT_SECONDS = 60.0


def search(url: str, query: Query, options: SearchOptions = DEFAULT_OPTIONS) -> Matches:
    """Matches found by the server at `url`; the token is in CLIPSIGHT_TOKEN. Paths are the server's.

    Pictures of the query are sent; addresses are refused, and of the filters only labels are known to a
    server. Raises `QueryError` and `ServerError`.
    """
    if options.filters != Filters(labels=options.filters.labels):
        raise QueryError("a server filters by labels only: leave the other filters out")
    request = {field.name: getattr(options, field.name) for field in fields(options)}
    request["labels"] = list(request.pop("filters").labels)
    request["parts"] = [_to_json(part) for part in query.parts]
    found = _post(f"{url.rstrip('/')}/api/v1/search", request)
    return Matches(str(query), found["model"], tuple(map(_match, found["matches"])), tuple(found["notes"]))


def _to_json(part: Part) -> dict[str, Any]:
    if part.kind is Kind.URL:
        raise QueryError(f"a server fetches no addresses: download {part.value} and name the file")
    if part.kind is Kind.TEXT:
        return {"text": part.value, "weight": part.weight}
    file = Path(part.value).expanduser()
    try:
        data = base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        raise QueryError(f"can't read the picture {part.value}: {error.strerror}") from error
    return {"picture": data, "name": file.name.encode(errors="replace").decode(), "weight": part.weight}


def _post(url: str, content: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("CLIPSIGHT_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    try:
        with urlopen(Request(url, json.dumps(content).encode(), headers), timeout=_TIMEOUT_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except HTTPError as error:
        why = _detail(error) + (": set CLIPSIGHT_TOKEN" if error.code == 401 else "")
        raise ServerError(f"the server at {url} refuses: {why}") from error
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServerError(
            f"no clipsight server answers at {url} ({reason}): start one with clipsight serve"
        ) from error


def _detail(error: HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


def _match(found: dict[str, Any]) -> Match:
    return Match(
        path=Path(found["path"]),
        score=found["score"],
        id=found["id"],
        width=found["width"],
        height=found["height"],
        taken=found["taken"],
        taken_source="exif" if found["taken"] else None,  # not told, as in `--json`
        size=0,
        reachable=True,
    )
