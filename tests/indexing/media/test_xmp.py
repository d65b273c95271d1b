"""Dates in XMP: in every format and form, of the photo alone, and hostile XML."""

import io
import struct
import zlib
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.indexing.media import xmp
from clipsight.indexing.media.xmp import parse_xmp, xmp_date
from tests.support import photo_files as files

NAMES = {
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}
SPACES = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMES.items())
DATE = datetime(2019, 5, 12, 10, 15)


def packet(attributes: str = "", elements: str = "", head: str = "") -> bytes:
    return (
        f'{head}<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {SPACES} {attributes}>{elements}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


CREATED = packet('xmp:CreateDate="2019-05-12T10:15:00+02:00"')


@pytest.mark.parametrize("name", ["exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate"])
def test_each_property_as_attribute_and_as_element(name: str) -> None:
    assert parse_xmp(packet(f'{name}="2019-05-12T10:15:00"')) == DATE
    assert parse_xmp(packet(f"{name}='2019-05-12T10:15:00'")) == DATE
    assert parse_xmp(packet(elements=f"<{name}>2019-05-12T10:15:00Z</{name}>")) == DATE
    assert parse_xmp(packet(elements=f"<{name}>\n  2019-05-12T10:15\n</{name}>")) == DATE


def test_the_order_of_properties() -> None:
    created, shot = (
        'xmp:CreateDate="2021-01-01T01:00:00"',
        "<exif:DateTimeOriginal>2019-05-12T10:15:00</exif:DateTimeOriginal>",
    )
    assert parse_xmp(packet(created, shot)) == DATE
    assert parse_xmp(packet(created, shot.replace("2019", "0000"))) == datetime(2021, 1, 1, 1)
    assert parse_xmp(packet(created.replace("2021-01-01T01:00:00", "1980-01-01T00:00:00"))) is None
    assert (
        parse_xmp(
            packet('photoshop:DateCreated="2019-05-12T10:15:00"', "<xmp:CreateDate>2021</xmp:CreateDate>")
        )
        == DATE
    )


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2019", datetime(2019, 1, 1)),
        ("2019-05", datetime(2019, 5, 1)),
        ("2019-05-12", datetime(2019, 5, 12)),
    ],
)
def test_dates_in_part(written: str, date: datetime) -> None:
    assert parse_xmp(packet(f'photoshop:DateCreated="{written}"')) == date


def test_dates_of_other_things_do_not_count() -> None:
    for elements in (
        '<xmpMM:Pantry><rdf:Bag><rdf:li><rdf:Description xmp:CreateDate="2019-05-12"/></rdf:li></rdf:Bag>'
        "</xmpMM:Pantry>",
        "<xmpMM:DerivedFrom><xmp:CreateDate>2019-05-12</xmp:CreateDate></xmpMM:DerivedFrom>",
        "<xmp:ModifyDate>2019-05-12</xmp:ModifyDate>",
        "<xmp:MetadataDate>2019-05-12</xmp:MetadataDate>",
    ):
        assert parse_xmp(packet(elements=elements)) is None
    assert parse_xmp(CREATED.replace(b"ns.adobe.com/xap/1.0/", b"example.com/")) is None


def test_prefixes_are_free() -> None:
    assert (
        parse_xmp(CREATED.replace(b"xmlns:xmp=", b"xmlns:xap=").replace(b"xmp:CreateDate", b"xap:CreateDate"))
        == DATE
    )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"])
def test_encodings(encoding: str) -> None:
    assert parse_xmp(CREATED.decode().encode(encoding)) == DATE


def test_padding_and_a_cut_packet() -> None:
    assert parse_xmp(CREATED + b" " * 2000 + b"\0") == DATE
    assert parse_xmp(b"\n " + CREATED) == DATE
    assert parse_xmp(CREATED[: CREATED.index(b"</rdf:Desc")]) == DATE


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]>"
)


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE x>",
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE x [<!ENTITY d "2019-05-12">]>',
        BOMB,
    ],
)
def test_a_document_type_is_refused(doctype: str) -> None:
    assert parse_xmp(packet('xmp:CreateDate="2019-05-12"', head=doctype)) is None
    assert parse_xmp(packet(elements="<xmp:CreateDate>&d;</xmp:CreateDate>", head=doctype)) is None


def test_what_is_too_long_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmp, "MAX_BYTES", len(CREATED))
    assert parse_xmp(CREATED) == DATE
    assert parse_xmp(CREATED + b" ") is None


def test_a_long_text_and_a_deep_tree_are_no_harm() -> None:
    assert parse_xmp(
        packet(elements=f"<xmp:CreateDate>2019-05-12{' ' * 10**6}</xmp:CreateDate>")
    ) == datetime(2019, 5, 12)
    assert parse_xmp(packet(elements="<a>" * 10**5)) is None


@given(st.one_of(st.binary(), st.text().map(lambda text: packet(elements=text)), st.text().map(packet)))
def test_any_bytes_are_a_date_or_none(content: bytes) -> None:
    date = parse_xmp(content)
    assert date is None or isinstance(date, datetime)


@given(st.integers(0, len(CREATED)), st.binary(max_size=4))
def test_a_damaged_packet_is_no_error(at: int, junk: bytes) -> None:
    date = parse_xmp(CREATED[:at] + junk + CREATED[at + len(junk) :])
    assert date is None or isinstance(date, datetime)


@given(st.datetimes(datetime(1826, 1, 1), datetime.now()), st.sampled_from(["", "Z", "+05:30", ".5-08:00"]))
def test_any_date(date: datetime, zone: str) -> None:
    shown = date.replace(microsecond=0, day=max(date.day, 2))  # the first days of years may be defaults
    expected = None if (shown.month, shown.day) == (12, 31) or shown == datetime(2002, 12, 8, 12) else shown
    found = parse_xmp(packet(f'xmp:CreateDate="{shown.isoformat()}{zone}"'))
    assert found == shown or (found is None and expected is None)


# In files


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_packets_in_each_format(format: str) -> None:
    options: dict[str, Any] = {"xmp": CREATED}
    if format == "TIFF":
        options = {"tiffinfo": {700: CREATED}}
    file = files.png_with(itxt(CREATED)) if format == "PNG" else files.encode(format, **options)
    picture = Image.open(io.BytesIO(file))
    picture.load()
    assert xmp_date(picture) == DATE


def itxt(content: bytes, *, compressed: bool = False) -> tuple[bytes, bytes]:
    head = b"XML:com.adobe.xmp\0" + (b"\1\0" if compressed else b"\0\0") + b"\0\0"
    return b"iTXt", head + (zlib.compress(content) if compressed else content)


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_packets_in_png(compressed: bool, end: bool) -> None:
    picture = Image.open(io.BytesIO(files.png_with(itxt(CREATED, compressed=compressed), end=end)))
    picture.load()
    assert xmp_date(picture) == DATE


def test_packets_that_imagemagick_wrote_into_png() -> None:
    digits = CREATED.hex()
    profile = (
        f"\nxmp\n{len(CREATED):8}\n"
        + "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        + "\n"
    )
    chunk = (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(profile.encode()))
    picture = Image.open(io.BytesIO(files.png_with(chunk)))
    picture.load()
    assert xmp_date(picture) == DATE
    picture.info["Raw profile type xmp"] = "\nxmp\n 3\nno digits"
    assert xmp_date(picture) is None


def app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def test_extended_xmp() -> None:
    digest = b"0123456789ABCDEF0123456789ABCDEF"
    main = packet(f'xmpNote:HasExtendedXMP="{digest.decode()}"')
    halves = (CREATED[:200], CREATED[200:])
    parts = [
        app1(b"http://ns.adobe.com/xmp/extension/\0" + digest + struct.pack(">II", len(CREATED), at) + half)
        for at, half in ((200, halves[1]), (0, halves[0]))
    ]
    stranger = parts[1].replace(digest, digest[::-1])
    jpeg = files.encode("JPEG")
    for segments in (parts, [stranger, *parts]):
        file = jpeg[:2] + app1(b"http://ns.adobe.com/xap/1.0/\0" + main) + b"".join(segments) + jpeg[2:]
        assert xmp_date(Image.open(io.BytesIO(file))) == DATE
    alone = jpeg[:2] + app1(b"http://ns.adobe.com/xap/1.0/\0" + main) + stranger + jpeg[2:]
    assert xmp_date(Image.open(io.BytesIO(alone))) is None


@pytest.mark.parametrize("value", [None, 5, (1, 2), "", b"", "\ud800", b"\xff\xfe<"])
def test_odd_values_of_info(value: object) -> None:
    picture = Image.new("RGB", (1, 1))
    picture.info.update({"xmp": value, "XML:com.adobe.xmp": value, "Raw profile type APP1": value})
    assert xmp_date(picture) is None
