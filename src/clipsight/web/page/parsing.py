"""Parsing and validation of values that the browser sends.

Our scripts send them as JSON, but any client could. All functions raise `QueryError` for values that the page
never sends.
"""

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, cast

from clipsight.core.errors import QueryError
from clipsight.search.grammar import strip_incomplete
from clipsight.web.service.query_parts import PhotoPart, QueryPart, TextPart, UploadPart, parse_query

_INVALID = "the page sent an invalid value: reload it"


@dataclass(frozen=True, slots=True)
class QueryInput:
    """The value of the search box: text in the query grammar, and pictures with the keys of the browser."""

    text: str
    pictures: tuple[tuple[str, PhotoPart | UploadPart], ...]
    value: dict[str, Any]
    """The value as it was sent."""

    @classmethod
    def parse(cls, value: object) -> "QueryInput":
        """Parse the JSON text of the search box; None and "" are an empty box."""
        sent = _mapping(parse_json(value or '{"text": "", "pictures": []}'))
        pictures = [_mapping(each) for each in _sequence(sent.get("pictures"))]
        return cls(
            parse_text(sent.get("text")),
            tuple((parse_text(each.get("key")), parse_picture(each)) for each in pictures),
            sent,
        )

    @property
    def text_parts(self) -> tuple[TextPart, ...]:
        """The parts of the text; raises `QueryError` if it is not in the grammar."""
        text = strip_incomplete(self.text)  # a trailing "+" is about to be continued
        return parse_query(text) if text.strip() else ()

    @property
    def parts(self) -> tuple[QueryPart, ...]:
        """All parts of the query; empty for an empty box."""
        return (*self.text_parts, *(picture for _, picture in self.pictures))


def parse_picture(sent: dict[str, Any]) -> PhotoPart | UploadPart:
    """A photo of the library by its id, or an upload as a data: URL."""
    weight = parse_number(sent)
    if "id" in sent:
        return PhotoPart(parse_photo_id(sent), weight)
    head, separator, data = parse_text(sent.get("data")).partition(";base64,")
    if not separator or not head.startswith("data:"):
        raise QueryError(_INVALID)
    try:
        return UploadPart(base64.b64decode(data, validate=True), parse_text(sent.get("name")), weight)
    except binascii.Error as error:
        raise QueryError(_INVALID) from error


def parse_pictures(value: object) -> tuple[list[int], list[UploadPart]]:
    """Pictures to classify: ids of the library's photos, and uploads."""
    pictures = [parse_picture(_mapping(each)) for each in _sequence(value)]
    return (
        [each.id for each in pictures if isinstance(each, PhotoPart)],
        [each for each in pictures if isinstance(each, UploadPart)],
    )


def event_data(event: object) -> dict[str, Any]:
    """The data that a script sent with a `gr.EventData`."""
    return _mapping(getattr(event, "_data", None))


def parse_photo_id(sent: dict[str, Any]) -> int:
    """The id of a photo, 1 to 2**63 - 1."""
    value = sent.get("id")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 63:
        raise QueryError(_INVALID)
    return value


def parse_number(sent: dict[str, Any], name: str = "weight") -> float:
    """A finite number, rounded to 3 digits; 1 by default."""
    value = sent.get(name, 1.0)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise QueryError(_INVALID)
    return round(float(value), 3)


def parse_text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise QueryError(_INVALID)
    return value


def parse_texts(value: object) -> list[str]:
    """A list of strings."""
    return [parse_text(each) for each in _sequence(value)]


def parse_json(value: object) -> object:
    """The object that a JSON text describes."""
    try:
        return cast(object, json.loads(parse_text(value)))
    except (ValueError, RecursionError) as error:
        raise QueryError(_INVALID) from error


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise QueryError(_INVALID)
    return value


def _sequence(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise QueryError(_INVALID)
    return value
