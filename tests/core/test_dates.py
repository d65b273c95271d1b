"""Dates as users type them, read as half-open periods."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.dates import Period, parse_period
from clipsight.core.errors import QueryError

LENGTHS = [4, 7, 10, 13, 16, 19]
SECONDS = st.datetimes().map(lambda moment: moment.replace(microsecond=0))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", (2024, 1, 1), (2025, 1, 1)),
        ("0001", (1, 1, 1), (2, 1, 1)),
        ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2024-12", (2024, 12, 1), (2025, 1, 1)),
        ("2024-02-28", (2024, 2, 28), (2024, 2, 29)),
        ("2024-12-31", (2024, 12, 31), (2025, 1, 1)),
        ("2024-05-31 18", (2024, 5, 31, 18), (2024, 5, 31, 19)),
        ("2024-05-31T23:59", (2024, 5, 31, 23, 59), (2024, 6, 1)),
        ("2024-05-31T18:30:59", (2024, 5, 31, 18, 30, 59), (2024, 5, 31, 18, 31)),
        ("9998", (9998, 1, 1), (9999, 1, 1)),
    ],
)
@pytest.mark.slow
def test_periods(text: str, start: tuple[int, int, int], end: tuple[int, int, int]) -> None:
    assert parse_period(text) == Period(datetime(*start), datetime(*end))


@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59"])
def test_the_last_period_has_no_end(text: str) -> None:
    assert parse_period(text).end is None
    assert parse_period(text).start == datetime.fromisoformat(text + "0001-01-01T00:00:00"[len(text) :])


@given(SECONDS, SECONDS, st.sampled_from(LENGTHS), st.sampled_from("T "))
def test_a_period_contains_the_times_whose_text_begins_with_it(
    moment: datetime, other: datetime, length: int, separator: str
) -> None:
    text = moment.isoformat()[:length]
    period = parse_period(text.replace("T", separator))
    for each in (moment, other, period.start, period.start - timedelta(seconds=period.start > datetime.min)):
        inside = period.start <= each and (period.end is None or each < period.end)
        assert inside == each.isoformat().startswith(text)


@given(SECONDS, st.sampled_from(LENGTHS))
def test_periods_follow_each_other_without_a_gap(moment: datetime, length: int) -> None:
    period = parse_period(moment.isoformat()[:length])
    if period.end is not None:
        assert parse_period(period.end.isoformat()[:length]).start == period.end
        last = period.end - timedelta(seconds=1)
        assert parse_period(last.isoformat()[:length]) == period


TOO_SHORT_OR_LONG = ("", "24", "2024-5-1", "2024-05-31T", "2024-05-31T18:30+02:00", "2024\n")
OUT_OF_RANGE = ("0000", "2024-13", "2024-02-30", "2024-05-31T24", "2024-05-31T18:60")


@pytest.mark.parametrize("text", [*TOO_SHORT_OR_LONG, *OUT_OF_RANGE, "tomorrow", "٢٠٢٤"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="is not a date: write 2024"):
        parse_period(text)


@given(st.text(max_size=20))
def test_any_text_is_a_period_or_refused(text: str) -> None:
    try:
        period = parse_period(text)
    except QueryError:
        return
    assert period.start.isoformat(sep=text[10:11] or "T").startswith(text)
