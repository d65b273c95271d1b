"""Ends of ranges of dates, which include the whole year, month, day or second."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.errors import QueryError
from clipsight.web.service.dates import following


@pytest.mark.parametrize(
    ("date", "next_"),
    [
        ("2024", "2025"),
        ("2023", "2024"),
        ("0001", "0002"),
        ("2024-02", "2024-03"),
        ("2024-12", "2025-01"),
        ("2024-02-28", "2024-02-29"),
        ("2024-12-31", "2025-01-01"),
        ("2024-05-31T23:59", "2024-06-01T00:00"),
        ("2024-05-31 18", "2024-05-31T19"),
        ("9999", None),
    ],
)
def test_what_follows(date: str, next_: str | None) -> None:
    assert following(date) == next_


@given(st.datetimes(max_value=datetime(9998, 1, 1)), st.sampled_from([4, 7, 10, 13, 16, 19]))
def test_it_is_the_next_there_is(moment: datetime, length: int) -> None:
    date = moment.isoformat(timespec="seconds")[:length]
    next_ = following(date)
    assert next_ is not None and next_ > date and len(next_) == len(date)
    full = next_ + "0001-01-01T00:00:00"[len(next_) :]
    before = datetime.fromisoformat(full) - timedelta(seconds=1)
    assert before.isoformat(timespec="seconds")[:length] == date


@pytest.mark.parametrize(
    "text", ["", "24", "2024-13", "2024-02-30", "tomorrow", "2024-5-1", "٢٠٢٤", "2024-05-31T"]
)
def test_what_is_no_date_is_told(text: str) -> None:
    with pytest.raises(QueryError, match="no date"):
        following(text)
