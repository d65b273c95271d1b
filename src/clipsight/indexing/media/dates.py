"""Dates as files write them, in EXIF, XMP and texts, and those that only an unset clock writes."""

import calendar
import re
import time
from datetime import UTC, datetime, timedelta

FIRST_YEAR = 1826
"""The year of the oldest photo that is preserved."""

_LONGEST = 100
"""Characters of a text that are read; dates are at its start."""

_DEFAULT_DAYS = frozenset({(1969, 12, 31), (1970, 1, 1), (1979, 11, 30), (1979, 12, 31), (1980, 1, 1)})
"""Zero of the clocks of Unix, zip archives and FAT, in any time zone."""
_DEFAULT_MOMENTS = frozenset(
    {
        datetime(1904, 1, 1),  # zero in QuickTime
        datetime(2000, 1, 1),
        datetime(2001, 1, 1),  # zero on Apple's systems
        datetime(2002, 12, 8, 12),  # Qualcomm's camera software, in many Android phones
    }
)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MORNING = "上午|午前|오전|凌晨|清晨|早上"
_AFTERNOON = "下午|午後|오후|中午|傍晚|晚上"
HALF = rf"(?:[ap]\.?\s?m(?![^\W\d_])\.?|{_MORNING}|{_AFTERNOON})"
"""Regular expression of the marks of a half of the day, in any case: AM, p.m., 下午."""

_SEPARATOR = r"\s?[:/.,_年月-]\s{0,2}"
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?![^\W_年])"  # no letter or digit behind it
    rf"(?:(?:(?P<gap>\s)|{_SEPARATOR})(?P<month>\d\d?)(?(gap)(?!\S)|(?!\d))"
    rf"(?:(?(gap)\s|{_SEPARATOR})(?P<day>\d\d?)(?!\d))?)?"
)
_COMPACT = re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?!\d{1,5}(?!\d)|\d{10})")
_YEAR_LAST = re.compile(
    r"(?P<first>\d\d?)\s?(?P<mark>[./-])\s?(?P<second>\d\d?)\s?[./-]\s?(?P<year>\d{4})(?!\d)"
)
_NAMED_MONTH = re.compile(
    r"(?:[^\W\d_]+\.?,?\s+)?"  # day of the week
    r"(?:(?P<day>\d\d?)[\s-](?P<month>[a-z]{3})[a-z]*\.?|(?P<month_first>[a-z]{3})[a-z]*\.?\s+(?P<day_last>\d\d?)),?"
    r"(?:\s(?P<time>\d\d?:\d\d(?::\d\d)?))?(?:\s[a-z]{3,4})?"
    r"[\s-](?P<year>\d{4})(?!\d)",
    re.IGNORECASE,
)
_TIME = re.compile(
    rf"[日T\s_,:.-]*(?:at\s+)?(?P<before>{HALF})?\s*"
    r"(?:(?P<digits>\d\d\s?\d\d\s?\d\d)\d{0,3}(?!\d)"
    r"|(?P<hour>\d\d?)\s*(?:(?P<dash>-)|[:./_h時时點点])"
    r"(?:\s*(?P<minute>\d\d?)(?!\d)(?:\s*(?(dash)[:.-]|[:./_m分])\s*(?P<second>\d\d?)(?!\d))?)?)"
    rf"[s秒]?(?:[.,]\d+)?\s*(?P<after>{HALF})?",
    re.IGNORECASE,
)


def parse_date(text: str) -> datetime | None:
    """Parse a date and time with any separators, or none, and keep what is right of it.

    The year comes first, as in `2019:05:12 10:15:00`, or last, as in `12.05.2019`; months may be names in
    English. The time is kept as written, and a zone behind it is ignored. A month or day that is missing, or
    that can't be, is the first; so are both of `05/06/2019`, whose order is not known. Of the time, too, what
    is right is kept; 24:00:00 is the next day, and second 60 is 59.

    None if there is no year of four digits, if it is before `FIRST_YEAR` or after the next one, or if the
    date is that of a clock that was never set.
    """
    text = text.replace("\0", " ").strip()[:_LONGEST]
    return _year_first(text) or _year_last(text) or _named_month(text)


def is_default(date: datetime) -> bool:
    """True for a date that clocks show which were never set, and files that were given none."""
    return (date.year, date.month, date.day) in _DEFAULT_DAYS or date in _DEFAULT_MOMENTS


def parse_time(text: str) -> timedelta:
    """Parse the time of day at the start of `text`; zero if there is none."""
    found = _TIME.match(text)
    if not found:
        return timedelta()
    if found["digits"]:
        hour, minute, second = re.findall(r"\d\d", found["digits"])
    else:
        hour, minute, second = (found[name] or "0" for name in ("hour", "minute", "second"))
    return time_of_day(int(hour), int(minute), int(second), found["before"] or found["after"])


def time_of_day(hour: int, minute: int, second: int, half: str | None = None) -> timedelta:
    """Time since midnight by the parts up to the first that can't be; `half` is a mark such as PM or 下午."""
    if half and hour <= 12:
        is_afternoon = half[0] in "pP" or half in _AFTERNOON.split("|")
        hour = hour % 12 + (12 if is_afternoon else 0)
    if (hour, minute, second) == (24, 0, 0):
        return timedelta(days=1)
    if hour > 23:
        return timedelta()
    if minute > 59:
        return timedelta(hours=hour)
    return timedelta(hours=hour, minutes=minute, seconds=min(second, 59) if second <= 60 else 0)


def local_time(moment: datetime) -> datetime | None:
    """Convert UTC to this machine's local time, both without a zone; None if the system can't."""
    try:
        return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):
        return None


def from_timestamp(seconds: int) -> datetime | None:
    """Convert seconds since 1970 to local time; None if out of range, or that of a clock never set."""
    try:
        moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    except OverflowError:
        return None
    date = None if is_default(moment) else local_time(moment)
    return date if date is not None and _is_of_a_photo(date.year) else None


def _year_first(text: str) -> datetime | None:
    found = _COMPACT.match(text) or _YEAR_FIRST.match(text)
    return _date(found["year"], found["month"], found["day"], text[found.end() :]) if found else None


def _year_last(text: str) -> datetime | None:
    found = _YEAR_LAST.match(text)
    if not found:
        return None
    day, month = found["first"], found["second"]
    if int(month) > 12:
        day, month = month, day
    elif found["mark"] != "." and int(day) <= 12 and day != month:
        return _date(found["year"], None, None, "")
    return _date(found["year"], month, day, text[found.end() :])


def _named_month(text: str) -> datetime | None:
    found = _NAMED_MONTH.match(text)
    name = found and (found["month"] or found["month_first"]).lower()
    if not found or name not in _MONTHS:
        return None
    month = str(_MONTHS.index(name) + 1)
    return _date(
        found["year"], month, found["day"] or found["day_last"], found["time"] or text[found.end() :]
    )


def _date(year_text: str, month_text: str | None, day_text: str | None, rest: str) -> datetime | None:
    """Date by the parts up to the first that can't be; `rest` begins with the time."""
    year, month, day = int(year_text), int(month_text or 0), int(day_text or 0)
    if not _is_of_a_photo(year):
        return None
    if not 1 <= month <= 12:
        return datetime(year, 1, 1)
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return datetime(year, month, 1)
    date = datetime(year, month, day) + parse_time(rest)
    return None if is_default(date) else date


def _is_of_a_photo(year: int) -> bool:
    return FIRST_YEAR <= year <= time.localtime().tm_year + 1
