"""Dates as users type them: "2024", "2024-05", "2024-05-31" or "2024-05-31T18:30", each a whole period."""

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from clipsight.core.errors import QueryError

_FORMAT = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?", re.ASCII)
_FIRST_MOMENT = "0001-01-01T00:00:00"
_LONGEST = {
    len("2024"): timedelta(days=366),
    len("2024-05"): timedelta(days=31),
    len("2024-05-31"): timedelta(days=1),
    len("2024-05-31T18"): timedelta(hours=1),
    len("2024-05-31T18:30"): timedelta(minutes=1),
    len("2024-05-31T18:30:15"): timedelta(seconds=1),
}
"""Length of a date's text -> longest duration of such a period."""


class Period(NamedTuple):
    """Half-open interval of local time, without a time zone: `start` <= moment < `end`."""

    start: datetime
    end: datetime | None
    """None for a period that ends with the year 9999, the last year of `datetime`."""


def parse_period(text: str) -> Period:
    """Return the year, month, day, hour, minute or second that `text` names.

    Date and time are separated by "T" or a space. Raises QueryError if `text` is not such a date.
    """
    try:
        if not _FORMAT.fullmatch(text):
            raise ValueError
        start = _first_moment(text)
    except ValueError:
        raise QueryError(
            f"{text[:40]!r} is not a date: write 2024, 2024-05, 2024-05-31 or 2024-05-31T18:30"
        ) from None
    try:
        within_next = start + _LONGEST[len(text)]
    except OverflowError:
        return Period(start, None)
    return Period(start, _first_moment(within_next.isoformat()[: len(text)]))


def start_of(text: str) -> str:
    """Return the first moment of the period `text`, ISO 8601 to the second. Raises QueryError."""
    return parse_period(text).start.isoformat()


def end_of(text: str) -> str | None:
    """Return the first moment after the period `text`, None after the year 9999. Raises QueryError."""
    end = parse_period(text).end
    return None if end is None else end.isoformat()


def _first_moment(date: str) -> datetime:
    return datetime.fromisoformat(date + _FIRST_MOMENT[len(date) :])
