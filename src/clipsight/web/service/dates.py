"""Dates as people give them: a year, a month, a day or a time, meant as a whole. Called by `service` only."""

from datetime import datetime, timedelta

from clipsight.core.errors import QueryError

_FORMS = {
    len("2024"): ("%Y", timedelta(days=366)),
    len("2024-05"): ("%Y-%m", timedelta(days=31)),
    len("2024-05-31"): ("%Y-%m-%d", timedelta(days=1)),
    len("2024-05-31T18"): ("%Y-%m-%dT%H", timedelta(hours=1)),
    len("2024-05-31T18:30"): ("%Y-%m-%dT%H:%M", timedelta(minutes=1)),
    len("2024-05-31T18:30:15"): ("%Y-%m-%dT%H:%M:%S", timedelta(seconds=1)),
}


def following(date: str) -> str | None:
    """The year, month, day or time after this one, in the same form; None for the last there is.

    `store.filters` wants the end of a range that way. Raises `QueryError` for what is no date.
    """
    form, longest = _FORMS.get(len(date), ("no form", timedelta()))
    try:
        start = datetime.strptime(date.replace(" ", "T"), form if date.isascii() else "no form")
    except ValueError:
        raise QueryError(
            f"{date[:40]!r} is no date: write 2024, 2024-05, 2024-05-31 or 2024-05-31T18:30"
        ) from None
    try:
        return (start + longest).isoformat()[: len(date)]
    except OverflowError:
        return None
