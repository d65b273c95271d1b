"""Dates as files write them: what is right of them is kept, and nothing is an error."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.indexing.media.dates import from_timestamp, is_default, parse_date, parse_time, time_of_day

NEXT_YEAR = datetime.now().year + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # separators
        ("2021:03:04 05:06:07", "2021-03-04T05:06:07"),
        ("2021-03-04T05:06:07Z", "2021-03-04T05:06:07"),
        ("2021/03/04", "2021-03-04T00:00:00"),
        ("2021.03.04 05.06.07", "2021-03-04T05:06:07"),
        ("2021/03-04T05-06:07", "2021-03-04T05:06:07"),
        ("2021-03-04_05-06-07", "2021-03-04T05:06:07"),
        ("2021 03 04 05 06 07", "2021-03-04T05:06:07"),
        ("2021年3月4日 5時6分7秒", "2021-03-04T05:06:07"),
        ("20210304 050607", "2021-03-04T05:06:07"),
        ("20210304T050607Z", "2021-03-04T05:06:07"),
        ("20210304050607", "2021-03-04T05:06:07"),
        ("20210304050607123", "2021-03-04T05:06:07"),
        ("20210304", "2021-03-04T00:00:00"),
        ("2021:03:04:05:06:07", "2021-03-04T05:06:07"),
        ("2021: 3: 4  5: 6: 7", "2021-03-04T05:06:07"),
        ("٢٠٢١:٠٣:٠٤ ٠٥:٠٦:٠٧", "2021-03-04T05:06:07"),  # phones in Arabic
        # what follows
        ("2021:03:04 05:06:07\0", "2021-03-04T05:06:07"),
        ("2021:03:04\0" + "05:06:07", "2021-03-04T05:06:07"),
        ("  2021:03:04 05:06:07  ", "2021-03-04T05:06:07"),
        ("2021-03-04T05:06:07.123+02:00", "2021-03-04T05:06:07"),
        ("2021-03-04T05:06-07:00", "2021-03-04T05:06:00"),
        ("2021:03:04 05:06:07+10:00ABC", "2021-03-04T05:06:07"),
        ("2021:03:04 05:06:07 garbage", "2021-03-04T05:06:07"),
        ("2021/3/4 5:06", "2021-03-04T05:06:00"),
        # halves of the day
        ("2021:01:01 12:05:00 AM", "2021-01-01T00:05:00"),
        ("2021.01.01 1:05 pm", "2021-01-01T13:05:00"),
        ("2021:01:01 01:05:00PM", "2021-01-01T13:05:00"),
        ("2021:01:01 01:05:00 p.m.", "2021-01-01T13:05:00"),
        ("2021:01:01 12:05:00 a. m.", "2021-01-01T00:05:00"),
        ("2021:01:01 下午01:05:00", "2021-01-01T13:05:00"),
        ("2021/1/1 上午 11:05", "2021-01-01T11:05:00"),
        ("2021:01:01 01:05:00 下午", "2021-01-01T13:05:00"),
        ("2021:01:01 오후 1:05:00", "2021-01-01T13:05:00"),
        ("2021:01:01 13:05:00 PM", "2021-01-01T13:05:00"),
        ("2021:01:01 10:15:00 AMT", "2021-01-01T10:15:00"),
        # a time that can't be, or in part
        ("2021:01:01 24:00:00", "2021-01-02T00:00:00"),
        ("2020:12:31 24:00:00", "2021-01-01T00:00:00"),
        ("2021:01:01 23:59:60", "2021-01-01T23:59:59"),
        ("2021:01:01 99:99:99", "2021-01-01T00:00:00"),
        ("2021:01:01 24:00:01", "2021-01-01T00:00:00"),
        ("2021:01:01 10:99:00", "2021-01-01T10:00:00"),
        ("2021:01:01 10:15:99", "2021-01-01T10:15:00"),
        ("2021:01:01 10:15:  ", "2021-01-01T10:15:00"),
        ("2021:01:01 10:  :  ", "2021-01-01T10:00:00"),
        ("2021: 1: 1   :  :  ", "2021-01-01T00:00:00"),
        ("2021:06:28   :  :??", "2021-06-28T00:00:00"),
        # a date that is right in part
        ("2021", "2021-01-01T00:00:00"),
        ("2021-05", "2021-05-01T00:00:00"),
        ("2021:00:00 00:00:00", "2021-01-01T00:00:00"),
        ("2021:05:00 00:00:00", "2021-05-01T00:00:00"),
        ("2021:  :     :  :  ", "2021-01-01T00:00:00"),
        ("2021:05:     :  :  ", "2021-05-01T00:00:00"),
        ("2021:02:30 10:15:00", "2021-02-01T00:00:00"),
        ("2021:13:01 10:15:00", "2021-01-01T00:00:00"),
        ("2000:00:00 00:00:00", "2000-01-01T00:00:00"),
        # the year last, and names of months
        ("29.12.2020 10:15", "2020-12-29T10:15:00"),
        ("05.06.2020", "2020-06-05T00:00:00"),
        ("29/12/2020", "2020-12-29T00:00:00"),
        ("12/29/2020 10:15:00 PM", "2020-12-29T22:15:00"),
        ("05/06/2020 10:15:00", "2020-01-01T00:00:00"),
        ("05/05/2020", "2020-05-05T00:00:00"),
        ("Sun, 12 May 2019 10:15:00 GMT", "2019-05-12T10:15:00"),
        ("Sun May 12 10:15:00 2019", "2019-05-12T10:15:00"),
        ("Sun May 12 10:15:00 CEST 2019", "2019-05-12T10:15:00"),
        ("Sun 12 May 2019 10:15:00 PM CEST", "2019-05-12T22:15:00"),
        ("May 12, 2019 at 10:15 PM", "2019-05-12T22:15:00"),
        ("12-May-2019", "2019-05-12T00:00:00"),
        ("12 Foo 2019", None),
        # years
        ("1826:06:01 12:00:00", "1826-06-01T12:00:00"),
        ("1825:06:01 12:00:00", None),
        (f"{NEXT_YEAR}:01:01 00:00:00", f"{NEXT_YEAR}-01-01T00:00:00"),
        (f"{NEXT_YEAR + 1}:01:01 00:00:00", None),
        ("9999:12:31 24:00:00", None),
        ("21:03:04 05:06:07", None),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        # clocks that were never set
        ("1970:01:01 00:00:00", None),
        ("1980:01:01 00:00:17", None),
        ("2000:01:01 00:00:00", None),
        ("2000:01:01 00:00:01", "2000-01-01T00:00:01"),
        ("2002:12:08 12:00:00", None),
        ("2002:12:08 12:00:01", "2002-12-08T12:00:01"),
        # no dates
        ("garbage", None),
        ("", None),
        ("1234567890", None),
        ("201905121015", None),
        ("2019px", None),
    ],
)
def test_dates(text: str, expected: str | None) -> None:
    date = parse_date(text)
    assert (date and date.isoformat()) == expected


moments = st.datetimes(datetime(1826, 1, 1), datetime.now()).map(lambda date: date.replace(microsecond=0))
separators = st.sampled_from(list(":/.-_"))
zones = st.sampled_from(["", "Z", "+02:00", "-07:00", " UTC", ".25", ".123456+0530", "\0", "\0\0junk"])


@given(moments, separators, separators, separators, st.sampled_from([" ", "T", "  ", "_", "\0", " T"]), zones)
def test_any_date_with_any_separators(
    moment: datetime, first: str, second: str, third: str, between: str, zone: str
) -> None:
    text = (
        moment.strftime(f"%Y{first}%m{second}%d") + between + moment.strftime(f"%H{third}%M{third}%S") + zone
    )
    assert parse_date(text) == (None if is_default(moment) else moment)


@given(
    moments,
    st.sampled_from(
        [
            "%Y%m%d %H%M%S",
            "%Y%m%dT%H%M%SZ",
            "%Y%m%d%H%M%S",
            "%Y-%m-%dT%H:%M:%S.5-03:30",
            "%Y/%m/%d %I:%M:%S %p",
            "%Y:%m:%d %p%I:%M:%S",
            "%d.%m.%Y %H:%M:%S",
            "%a, %d %b %Y %H:%M:%S +0000",
            "%a %b %d %H:%M:%S %Y",
            "%d %B %Y %H:%M:%S",
            "%B %d, %Y %I:%M:%S %p",
        ]
    ),
)
def test_any_date_in_any_form(moment: datetime, form: str) -> None:
    assert parse_date(moment.strftime(form)) == (None if is_default(moment) else moment)


@given(moments, st.booleans(), st.sampled_from(["上午下午", "午前午後", "오전오후"]), st.booleans())
def test_any_time_with_a_mark_of_its_half(moment: datetime, before: bool, marks: str, spaced: bool) -> None:
    mark = marks[2:] if moment.hour >= 12 else marks[:2]
    time = moment.strftime("%I:%M:%S")
    space = " " if spaced else ""
    text = moment.strftime("%Y:%m:%d ") + (mark + space + time if before else time + space + mark)
    assert parse_date(text) == (None if is_default(moment) else moment)


@given(moments, st.sampled_from(["%Y", "%Y:%m", "%Y:%m:%d", "%Y:00:00", "%Y-%m-00", "%Y:%m:32 10:15:00"]))
def test_the_parts_that_are_right_are_kept(moment: datetime, form: str) -> None:
    date = parse_date(moment.strftime(form))
    known = form.count("%")
    expected = datetime(moment.year, moment.month if known > 1 else 1, moment.day if known > 2 else 1)
    assert date == (None if known > 2 and is_default(expected) else expected)


@given(st.one_of(st.text(), st.from_regex(r"\d{4}[:/. -]\d\d?[:/. -]\d\d?.{0,12}", fullmatch=True)))
def test_any_text_is_a_date_or_none(text: str) -> None:
    date = parse_date(text)
    assert date is None or (1826 <= date.year <= NEXT_YEAR + 1 and date.microsecond == 0)


@given(st.text())
def test_any_text_is_a_time(text: str) -> None:
    assert timedelta() <= parse_time(text) <= timedelta(days=1)


@given(*[st.integers(0, 99)] * 3, st.sampled_from([None, "am", "PM", "P.M.", "下午"]))
def test_a_time_is_within_the_day(hour: int, minute: int, second: int, half: str | None) -> None:
    assert timedelta() <= time_of_day(hour, minute, second, half) <= timedelta(days=1)


@pytest.mark.usefixtures("eight_hours_ahead")
def test_timestamps() -> None:
    assert from_timestamp(1_557_656_100) == datetime(2019, 5, 12, 18, 15)
    assert from_timestamp(-631_152_000) == datetime(1950, 1, 1, 8)
    assert from_timestamp(0) is None
    assert from_timestamp(315_532_800) is None  # 1980


@given(st.integers())
def test_any_number_is_a_date_or_none(seconds: int) -> None:
    date = from_timestamp(seconds)
    assert date is None or 1826 <= date.year <= NEXT_YEAR + 1
