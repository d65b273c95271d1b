"""Sidecars of Google Takeout: their names, dates and positions."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.indexing.media.takeout import TakeoutMetadata, parse_takeout, photo_keys, sidecar_key

EMOJI = "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋"
LONG = "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN"


@pytest.mark.parametrize(
    ("sidecar", "photo"),
    [
        ("IMG.jpg.json", "IMG.jpg"),
        ("IMG.jpg.supplemental-metadata.json", "IMG.jpg"),
        ("IMG.jpg.supplemental-metad.json", "IMG.jpg"),
        ("IMG.jpg.s.json", "IMG.jpg"),
        ("IMG.jpg..json", "IMG.jpg"),
        ("IMG_20230922_144936660.jpg.supplemental-metada.json", "IMG_20230922_144936660.jpg"),
        (f"{LONG}.json", f"{LONG}A.jpg"),
        (f"{EMOJI}.json", f"{EMOJI}😛.jpg"),
        (
            "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jp.json",
            "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jpg",
        ),
        ("IMG.json", "IMG.jpg"),
        ("Peanut Butter Balls.supplemental-metadata.json", "Peanut Butter Balls.jpg"),
        ("IMG.jpg(1).json", "IMG(1).jpg"),
        ("IMG.jpg.supplemental-metadata(1).json", "IMG(1).jpg"),
        ("IMG.jpg.supplemental-me(12).json", "IMG(12).jpg"),
        ("IMG(1).jpg.json", "IMG(1).jpg"),
        (
            "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
            "Backyard_ceremony_wedding_photography_xxxxxxx_m(494).jpg",
        ),
        (
            "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_.json",
            "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_P(1).jpg",
        ),
        ("IMG.jpg.json", "IMG-edited.jpg"),
        ("IMG.jpg.json", "IMG-bearbeitet.jpg"),
        ("IMG.jpg.json", "IMG-編集済み.jpg"),
        ("IMG.jpg.json", "IMG-ha editado.jpg"),
        ("IMG.jpg(1).json", "IMG-edited(1).jpg"),
        ("IMG.jpg(1).json", "IMG(1)-edited.jpg"),
        ("IMG.jpg.supplemental-metadata.json", "IMG-edited.jpg"),
        ("PXL_20220405_090123740.PORTRAIT.jpg.json", "PXL_20220405_090123740.PORTRAIT-modifié.jpg"),
    ],
)
def test_names_that_match(sidecar: str, photo: str) -> None:
    assert sidecar_key(sidecar) in list(photo_keys(photo))


@pytest.mark.parametrize(
    ("sidecar", "photo"),
    [
        ("IMG_1.jpg.json", "IMG_2.jpg"),
        ("IMG.jpg(1).json", "IMG.jpg"),
        ("IMG.jpg.json", "IMG(1).jpg"),
        ("IMG.jpg(2).json", "IMG(1).jpg"),
        ("metadata.json", "IMG.jpg"),
        ("IMG.jpg.json", "IMG-0002.jpg"),
        ("IMG.jpg.json", "IMG-20190512-WA0001.jpg"),
        ("IMG.png.json", "IMG.jpg"),
        ("PXL_20220405_090123740.PORTRAIT.jpg.json", "PXL_20220405_090123741.PORTRAIT-modifié.jpg"),
    ],
)
def test_names_that_do_not(sidecar: str, photo: str) -> None:
    assert sidecar_key(sidecar) not in list(photo_keys(photo))


def test_an_edited_copy_prefers_its_own() -> None:
    keys = list(photo_keys("IMG-edited.jpg"))
    assert keys.index(sidecar_key("IMG-edited.jpg.json")) < keys.index(sidecar_key("IMG.jpg.json"))


@pytest.mark.slow
@given(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
    ).filter(lambda stem: "(" not in stem),
    st.sampled_from([".jpg", ".HEIC", ".png"]),
    st.integers(0, 20),
    st.booleans(),
)
def test_any_name_as_takeout_makes_it(stem: str, suffix: str, number: int, new: bool) -> None:
    """The name, added to or not, cut to 46 units of UTF-16, and the number of the copy."""
    long = f"{stem}{suffix}{'.supplemental-metadata' if new else ''}"
    cut = long.encode("utf-16-le")[:92].decode("utf-16-le", "ignore")
    copy = f"({number})" if number else ""
    assert sidecar_key(f"{cut}{copy}.json") in list(photo_keys(f"{stem}{copy}{suffix}"))


@given(st.text())
def test_any_name_has_keys(name: str) -> None:
    assert list(photo_keys(name))
    sidecar_key(name + ".json")


def takeout(**members: object) -> bytes:
    return json.dumps({"title": "IMG.jpg", "creationTime": {"timestamp": "1"}, **members}).encode()


@pytest.mark.parametrize(
    ("content", "metadata"),
    [
        (
            {"photoTakenTime": {"timestamp": "1557656100", "formatted": "x"}},
            TakeoutMetadata(datetime(2019, 5, 12, 18, 15)),
        ),
        ({"photoTakenTime": {"timestamp": 1557656100}}, TakeoutMetadata(datetime(2019, 5, 12, 18, 15))),
        ({"photoTakenTime": {"timestamp": "-631152000"}}, TakeoutMetadata(datetime(1950, 1, 1, 8))),
        ({"photoTakenTime": {"timestamp": "0"}}, TakeoutMetadata()),
        ({"photoTakenTime": {"timestamp": "9" * 40}}, TakeoutMetadata()),
        ({"photoTakenTime": {"timestamp": "soon"}}, TakeoutMetadata()),
        ({"photoTakenTime": "1557656100"}, TakeoutMetadata()),
        ({"geoData": {"latitude": 48.1234567, "longitude": -11.5}}, TakeoutMetadata(None, 48.123457, -11.5)),
        ({"geoData": {"latitude": 0.0, "longitude": 0.0}}, TakeoutMetadata()),
        (
            {"geoData": {"latitude": 0, "longitude": 0}, "geoDataExif": {"latitude": 1, "longitude": 2}},
            TakeoutMetadata(None, 1.0, 2.0),
        ),
        ({"geoData": {"latitude": 91, "longitude": 2}}, TakeoutMetadata()),
        ({"geoData": {"latitude": 10**400, "longitude": 2}}, TakeoutMetadata()),
        ({"geoData": {"latitude": "1", "longitude": None}}, TakeoutMetadata()),
        ({"geoData": [1, 2]}, TakeoutMetadata()),
    ],
)
@pytest.mark.usefixtures("eight_hours_ahead")
def test_contents(content: dict[str, object], metadata: TakeoutMetadata) -> None:
    assert parse_takeout(takeout(**content)) == metadata


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"5",
        b"{",
        b"\xff\xfe",
        b"[" * 10**5,
        b'{"photoTakenTime": {"timestamp": ' + b"9" * 9999 + b"}}",
    ],
)
def test_what_is_not_a_sidecar_says_nothing(content: bytes) -> None:
    assert parse_takeout(content) == TakeoutMetadata()


def test_a_mark_of_its_encoding() -> None:
    content = takeout(geoData={"latitude": 1.5, "longitude": 2.5})
    assert parse_takeout(b"\xef\xbb\xbf" + content) == TakeoutMetadata(None, 1.5, 2.5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["timestamp", "latitude", "longitude"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(
    st.binary()
    | st.dictionaries(st.sampled_from(["photoTakenTime", "geoData", "geoDataExif"]), json_values).map(
        json.dumps
    )
)
def test_any_content_is_metadata(content: bytes | str) -> None:
    found = parse_takeout(content if isinstance(content, bytes) else content.encode())
    assert (found.latitude is None) == (found.longitude is None)
