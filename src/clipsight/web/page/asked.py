"""What the browser sends: JSON of our own scripts, but from anybody, so nothing of it is taken on trust.

Called by `search`, `classify` and `library`. All raise `QueryError` for what the page would never send.
"""

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, cast

from clipsight.core.errors import QueryError
from clipsight.web.service.query_parts import PhotoPart, QueryPart, TextPart, UploadPart, parse_query

_NOT_OURS = "the page sent something it never should: reload it"


@dataclass(frozen=True, slots=True)
class Asked:
    """The search box: words by the grammar, and pictures, each with a key that the browser gave it."""

    text: str
    pictures: tuple[tuple[str, PhotoPart | UploadPart], ...]
    sent: dict[str, Any]
    """What was sent."""

    @classmethod
    def read(cls, value: object) -> "Asked":
        sent = _mapping(json_of(value or '{"text": "", "pictures": []}'))
        pictures = [_mapping(each) for each in _sequence(sent.get("pictures"))]
        return cls(
            text_of(sent.get("text")),
            tuple((text_of(each.get("key")), picture_of(each)) for each in pictures),
            sent,
        )

    @property
    def words(self) -> tuple[TextPart, ...]:
        return parse_query(self.text) if self.text.strip() else ()

    @property
    def parts(self) -> tuple[QueryPart, ...]:
        """Everything that is asked for; empty where nothing is."""
        return (*self.words, *(picture for _, picture in self.pictures))


def picture_of(sent: dict[str, Any]) -> PhotoPart | UploadPart:
    """A photo of the library, or an upload as a data: URL."""
    weight = number(sent)
    if "id" in sent:
        return PhotoPart(identity(sent), weight)
    head, comma, data = text_of(sent.get("data")).partition(";base64,")
    if not comma or not head.startswith("data:"):
        raise QueryError(_NOT_OURS)
    try:
        return UploadPart(base64.b64decode(data, validate=True), text_of(sent.get("name")), weight)
    except binascii.Error as error:
        raise QueryError(_NOT_OURS) from error


def pictures_of(value: object) -> tuple[list[int], list[UploadPart]]:
    """Photos chosen for classification: ids of the library's, and uploads."""
    found = [picture_of(_mapping(each)) for each in _sequence(value)]
    return (
        [each.id for each in found if isinstance(each, PhotoPart)],
        [each for each in found if isinstance(each, UploadPart)],
    )


def event(data: object) -> dict[str, Any]:
    """What one of our scripts said with an event."""
    return _mapping(getattr(data, "_data", None))


def identity(sent: dict[str, Any]) -> int:
    """The number of a photo."""
    value = sent.get("id")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 63:
        raise QueryError(_NOT_OURS)
    return value


def number(sent: dict[str, Any], name: str = "weight") -> float:
    """A finite number; 1 where none is said."""
    value = sent.get(name, 1.0)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise QueryError(_NOT_OURS)
    return round(float(value), 3)


def text_of(value: object) -> str:
    if not isinstance(value, str):
        raise QueryError(_NOT_OURS)
    return value


def texts_of(value: object) -> list[str]:
    return [text_of(each) for each in _sequence(value)]


def json_of(value: object) -> object:
    try:
        return cast(object, json.loads(text_of(value)))
    except (ValueError, RecursionError) as error:
        raise QueryError(_NOT_OURS) from error


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise QueryError(_NOT_OURS)
    return value


def _sequence(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise QueryError(_NOT_OURS)
    return value
