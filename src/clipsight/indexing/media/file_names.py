"""Dates in the names that cameras, phones and programs give to photos.

Read are dates with the year first, of eight digits or with marks between, alone or with the time behind them,
as in `IMG_20190512_101500`, `IMG-20190512-WA0001`, `WhatsApp Image 2019-05-12 at 10.15.00 PM` and
`截圖 2019-05-12 下午10.15.00`; Telegram's `photo_1@12-05-2019_10-15-00`; and milliseconds since 1970, as in
`FB_IMG_1557656100000`. Numbers that only look like dates are not read: counters, sizes, phone numbers,
parts of hashes.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from clipsight.core.text import nfc
from clipsight.indexing.media.dates import HALF, from_timestamp, is_default, local_time, time_of_day

_FIRST_YEAR = 1970
_CLOCKS_AHEAD = timedelta(days=1)
"""The clock of a phone may be ahead of this machine's, and its time zone."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORD_START = r"(?<![^\W_])[^\W\d_]*"  # letters, as in IMG20190512, but no digit before them
_DATES = (
    re.compile(_WORD_START + r"(?P<year>\d{4})(?P<mark>[-_. ])(?P<month>\d\d)(?P=mark)(?P<day>\d\d)(?!\d)"),
    re.compile(
        _WORD_START + r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
        r"(?:(?=(?:[01]\d|2[0-3])(?:[0-5]\d){2}(?:\d{3})?(?!\d))|(?![a-f]*\d))",  # a time, or the end
        re.IGNORECASE,
    ),
    re.compile(r"@(?P<day>\d\d)-(?P<month>\d\d)-(?P<year>\d{4})(?!\d)"),
)
_TIME = re.compile(
    rf"\D{{0,14}}?(?P<before>{HALF})?\s*(?:"
    r"(?P<digits>\d{6})(?:\d{3})?(?!\d)|"
    r"(?P<hour>\d\d?)(?P<mark>[-_.:h∶：])(?P<minute>\d\d)(?:[-_.:m∶：](?P<second>\d\d)s?(?:[-_.]\d{3})?)?(?!\d)"
    rf")\s*(?P<after>{HALF})?",
    re.IGNORECASE,
)
_MILLISECONDS = re.compile(r"\D*(1\d{12})(?!\d)")
"""The first number of a name; from 2001 to 2033."""
_PIXEL = re.compile(r"(?<![^\W_])PXL_\d{8}_\d{9}")
"""A name by Google's camera on Pixel phones, whose time is UTC."""


def date_in_name(name: str, *, now: datetime | None = None) -> datetime | None:
    """Return the date in the file name of a photo, in local time; None if there is none to believe.

    Dates before 1970 or after `now` (default: the present) are not believed, nor are those of clocks never
    set. A day without a time begins at midnight.
    """
    latest = (now or datetime.now()) + _CLOCKS_AHEAD
    believed = (
        date
        for date in _dates(_UUID.sub("", nfc(name)))
        if date.year >= _FIRST_YEAR and date <= latest and not is_default(date)
    )
    return next(believed, None)


def _dates(name: str) -> Iterator[datetime]:
    for pattern in _DATES:
        for found in pattern.finditer(name):
            try:
                day = datetime(int(found["year"]), int(found["month"]), int(found["day"]))
            except ValueError:
                continue
            if day.year < 9999:  # the time may be the next day's
                date = day + _time(name[found.end() :])
                yield (local_time(date) if _PIXEL.search(name) else None) or date
    milliseconds = _MILLISECONDS.match(name)
    moment = from_timestamp(int(milliseconds[1]) // 1000) if milliseconds else None
    if moment:
        yield moment


def _time(rest: str) -> timedelta:
    """Time of day at the start of what follows a date; zero if there is none, or it can't be."""
    found = _TIME.match(rest)
    if not found:
        return timedelta()
    half = found["before"] or found["after"]
    if found["digits"]:
        hour, minute, second = (int(found["digits"][at : at + 2]) for at in (0, 2, 4))
    elif found["second"] or half or (len(found["hour"]) == 2 and found["mark"] not in "-_"):
        hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    else:
        return timedelta()
    return time_of_day(hour, minute, second, half) if minute < 60 and second <= 60 else timedelta()
