"""Dates in file names: of cameras, phones and programs, in any language, and no date in other numbers."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.indexing.media.dates import is_default
from clipsight.indexing.media.file_names import date_in_name

NOW = datetime(2026, 7, 1, 12)
MORNING, EVENING, DAY = datetime(2019, 5, 12, 10, 15), datetime(2019, 5, 12, 22, 15), datetime(2019, 5, 12)


@pytest.mark.parametrize(
    ("name", "date"),
    [
        # phones and cameras
        ("IMG_20190512_101500.jpg", MORNING),
        ("IMG_20190512_101500123.jpg", MORNING),
        ("IMG_20190512_101500~2.jpg", MORNING),
        ("IMG_20190512_101500_HDR.jpg", MORNING),
        ("VID_20190512_101500.jpg", MORNING),
        ("MVIMG_20190512_101500.jpg", MORNING),
        ("PANO_20190512_101500.jpg", MORNING),
        ("00000IMG_00000_BURST20190512101500123_COVER.jpg", MORNING),
        ("IMG20190512101500.jpg", MORNING),
        ("20190512_101500.jpg", MORNING),
        ("20190512_101500(0).jpg", MORNING),
        ("20190512101500.jpg", MORNING),
        ("2019-05-12_10-15-00.heic", MORNING),
        ("WIN_20190512_10_15_00_Pro.jpg", MORNING),
        ("WP_20190512_10_15_00_Pro.jpg", MORNING),
        ("C360_2019-05-12-10-15-00-123.jpg", MORNING),
        ("20190512T101500Z.jpg", MORNING),
        ("20190512.jp2", DAY),
        # messengers
        ("IMG-20190512-WA0001.jpg", DAY),
        ("WhatsApp Image 2019-05-12 at 10.15.00 PM.jpeg", EVENING),
        ("WhatsApp Image 2019-05-12 at 10.15.00 PM (1).jpeg", EVENING),
        ("WhatsApp Image 2019-05-12 at 22.15.00.jpeg", EVENING),
        ("signal-2019-05-12-101500.jpg", MORNING),
        ("signal-2019-05-12-10-15-00-123.jpg", MORNING),
        ("photo_2019-05-12_10-15-00.jpg", MORNING),
        ("photo_2019-05-12_10-15-00 (2).jpg", MORNING),
        ("photo_1@12-05-2019_10-15-00.jpg", MORNING),
        # screenshots
        ("Screenshot_20190512-101500.png", MORNING),
        ("Screenshot_20190512-101500_Chrome.png", MORNING),
        ("Screenshot_20190512_101500_com.android.chrome.png", MORNING),
        ("Screenshot_2019-05-12-10-15-00-123_com.android.chrome.png", MORNING),
        ("Screenshot 2019-05-12 at 10.15.00 AM.png", MORNING),
        ("Screenshot 2019-05-12 at 10.15.00\u202fPM.png", EVENING),
        ("Screen Shot 2019-05-12 at 1.15.00 PM.png", datetime(2019, 5, 12, 13, 15)),
        ("Screen Shot 2019-05-12 at 12.15.00 AM.png", datetime(2019, 5, 12, 0, 15)),
        ("Screenshot from 2019-05-12 10-15-00.png", MORNING),
        ("Screenshot 2019-05-12 101500.png", MORNING),
        ("Bildschirmfoto 2019-05-12 um 10.15.00.png", MORNING),
        ("Capture d’écran 2019-05-12 à 10.15.00.png", MORNING),
        ("Capture d’e\u0301cran 2019-05-12 a\u0300 10.15.00.png", MORNING),
        ("Captura de pantalla 2019-05-12 a las 10.15.00 p. m..png", EVENING),
        ("Schermata 2019-05-12 alle 10.15.00.png", MORNING),
        ("Skärmavbild 2019-05-12 kl. 10.15.00.png", MORNING),
        ("Снимок экрана 2019-05-12 в 10.15.00.png", MORNING),
        ("截屏2019-05-12 10.15.00.png", MORNING),
        ("截圖 2019-05-12 下午10.15.00.png", EVENING),
        ("螢幕快照 2019-05-12 上午10.15.00.png", MORNING),
        ("スクリーンショット 2019-05-12 10.15.00.png", MORNING),
        ("스크린샷 2019-05-12 오후 10.15.00.png", EVENING),
        # programs and people
        ("2019-05-12 10.15.00.jpg", MORNING),
        ("2019-05-12 10.15.00-1.jpg", MORNING),
        ("2019-05-12 10:15:00.jpg", MORNING),
        ("2019-05-12 10.15.jpg", MORNING),
        ("2019-05-12T10-15-00.jpg", MORNING),
        ("2019_05_12.jpg", DAY),
        ("2019.05.12 Paris.jpg", DAY),
        ("2019-05-12v2.jpg", DAY),
        ("Trip 20190512.jpg", DAY),
        ("1920x1080 2019-05-12.jpg", DAY),
        ("1066-10-14 on 2019-05-12.jpg", DAY),
        # a day without its time
        ("IMG_20190512_999999.jpg", DAY),
        ("2019-05-12_25-15-00.jpg", DAY),
        ("2019-05-12 10-15 people.jpg", DAY),
        ("2019-05-12 4.56 MB.jpg", DAY),
        ("Screenshot 2019-05-12 at 10545.52.png", DAY),
        # milliseconds since 1970
        ("1557656100000.jpg", MORNING),
        ("FB_IMG_1557656100000.jpg", MORNING),
        ("mmexport1557656100000.jpg", MORNING),
        ("wx_camera_1557656100000.jpg", MORNING),
        ("1557656100000-1.jpg", MORNING),
        ("PXL_20190512_101500123.jpg", MORNING),
        ("PXL_20190512_101500123.PORTRAIT-edited.jpg", MORNING),
    ],
)
def test_names_with_dates(name: str, date: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert date_in_name(name, now=NOW) == date


@pytest.mark.parametrize(
    "name",
    [
        *(
            "DSC_0001.JPG",
            "DSC02019.JPG",
            "IMG_2019.JPG",
            "P1010001.JPG",
            "100_2019.JPG",
            "2019.jpg",
            "2019-05.jpg",
        ),
        *("1920x1080.jpg", "wallpaper-2000x1200.jpg", "19201080.jpg", "2048-2012-12.jpg"),
        *("+886912345678.jpg", "201005121015.jpg", "2012050312.jpg", "202-555-0125.jpg", "2025550123.jpg"),
        *(
            "9780201896831.jpg",
            "received_10215557656100000.jpeg",
            "1234567890.jpg",
            "Snapchat-1557656100.jpg",
        ),
        *("20191301.jpg", "20190230_101500.jpg", "20190000.jpg", "20190512999999.jpg", "2019-5-12.jpg"),
        *("20301231_101500.jpg", "2030-12-31 10.15.00.jpg", "1999999999999.jpg", "IMG_18990101.jpg"),
        *(
            "IMG_19691231_235959.jpg",
            "IMG_19700101_000000.jpg",
            "IMG_19800101_000003.jpg",
            "20021208_120000.jpg",
        ),
        *(
            "d41d8cd920190512f00b204e9800998e.jpg",
            "3f20190512.jpg",
            "20190512a1b2c3.jpg",
            "99991231_235959.jpg",
        ),
        *("20190512-1015-4abc-9def-0123456789ab.jpg", "19-05-12 10-15-00.jpg", "05.12.2019.jpg", ".jpg", ""),
    ],
)
def test_names_without(name: str) -> None:
    assert date_in_name(name, now=NOW) is None


def test_the_future_is_not_believed() -> None:
    name = "IMG_20190512_101500.jpg"
    assert date_in_name(name, now=MORNING) == MORNING
    assert date_in_name(name, now=MORNING - timedelta(days=1)) == MORNING  # a phone in another time zone
    assert date_in_name(name, now=MORNING - timedelta(days=1, seconds=1)) is None


@pytest.mark.usefixtures("eight_hours_ahead")
def test_names_in_utc() -> None:
    assert date_in_name("1557656100000.jpg", now=NOW) == datetime(2019, 5, 12, 18, 15)
    assert date_in_name("PXL_20190512_201500123.jpg", now=NOW) == datetime(2019, 5, 13, 4, 15)
    assert date_in_name("IMG_20190512_201500123.jpg", now=NOW) == datetime(2019, 5, 12, 20, 15)


FORMS = (
    "IMG_%Y%m%d_%H%M%S",
    "%Y%m%d%H%M%S",
    "Screenshot_%Y-%m-%d-%H-%M-%S-123_com.app",
    "Screenshot %Y-%m-%d at %I.%M.%S %p",
    "截圖 %Y-%m-%d %p%I.%M.%S",
    "%Y-%m-%d %H.%M.%S",
    "photo_1@%d-%m-%Y_%H-%M-%S",
    "WIN_%Y%m%d_%H_%M_%S_Pro",
    "signal-%Y-%m-%d-%H%M%S",
    "%Y_%m_%d_%H_%M_%S (1)",
    "%Y-%m-%dT%H:%M:%S",
)


@given(
    st.datetimes(datetime(1970, 1, 2), NOW), st.sampled_from(FORMS), st.sampled_from(["", ".jpg", ".HEIC"])
)
def test_any_date_in_any_form(date: datetime, form: str, suffix: str) -> None:
    shown = date.replace(microsecond=0)
    assert date_in_name(shown.strftime(form) + suffix, now=NOW) == (None if is_default(shown) else shown)


@given(st.text() | st.from_regex(r"[A-Z_]{0,6}\d{4}[-_.]?\d\d[-_.]?\d\d.{0,12}", fullmatch=True))
def test_any_name_has_a_date_to_believe_or_none(name: str) -> None:
    date = date_in_name(name, now=NOW)
    assert date is None or (datetime(1970, 1, 1) <= date <= NOW + timedelta(days=1) and not is_default(date))


@given(st.uuids() | st.from_regex(r"IMG_\d{1,5}|\d{9,12}|\d{3,4}x\d{3,4}|[a-f]\d{8}[a-f]\d+", fullmatch=True))
def test_counters_sizes_and_hashes_are_no_dates(name: object) -> None:
    assert date_in_name(f"{name}.jpg", now=NOW) is None
