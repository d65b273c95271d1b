"""Dates in XMP: metadata in XML (ISO 16684-1), embedded in photos or in a file beside them.

XML with a document type is refused, so that no entity is ever expanded, and so is XML above `MAX_BYTES`. A
packet that is damaged is read as far as it goes.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from xml.parsers import expat

from PIL import Image

from clipsight.indexing.media.dates import parse_date

MAX_BYTES = 4 << 20
"""Longest XML that is parsed; packets with dates have some kilobytes."""

_EXIF = "http://ns.adobe.com/exif/1.0/"
_DATES = (
    f"{_EXIF} DateTimeOriginal",
    "http://ns.adobe.com/photoshop/1.0/ DateCreated",
    f"{_EXIF} DateTimeDigitized",
    "http://ns.adobe.com/xap/1.0/ CreateDate",
)
"""Properties in order of precedence, named as by expat."""
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# RDF"
_DESCRIPTION = "http://www.w3.org/1999/02/22-rdf-syntax-ns# Description"

_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED = re.compile(rb"HasExtendedXMP\s*(?:=\s*[\"']|>)\s*([0-9A-Fa-f]{32})")
_MAX_PARTS = 256
"""Parts of extended XMP that are joined; each has at most 64 KiB."""
_PNG_PROFILES = ("Raw profile type xmp", "Raw profile type APP1")
"""PNG texts in which ImageMagick keeps XMP as hexadecimal digits, below three lines."""


def xmp_date(picture: Image.Image) -> datetime | None:
    """Date of the first of a picture's XMP packets that has a valid one."""
    return next((date for packet in _packets(picture) if (date := parse_xmp(packet))), None)


def parse_xmp(packet: bytes) -> datetime | None:
    """Date of the exposure in an XMP packet, else of creation or digitization; None if there is no valid one.

    Only properties of the photo itself count, not those of its ingredients or its history.
    """
    values = _Reader().read(packet) if len(packet) <= MAX_BYTES else {}
    return next((date for name in _DATES if (date := parse_date(values.get(name, "")))), None)


class _Reader:
    """Properties of `_DATES` in one packet, as attributes or elements of top-level descriptions."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._open: list[str] = []
        """Names of the elements around the current place."""
        self._property: tuple[int, str] | None = None
        """Depth and name of the open element of a date."""

    def read(self, packet: bytes) -> dict[str, str]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(_without_padding(packet), True)
        except expat.ExpatError:
            pass  # what came before the damage is kept
        except ValueError:
            return {}
        return self._values

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == _DESCRIPTION and self._open[-1:] == [_RDF]:
            for attribute in attributes.keys() & set(_DATES):
                self._values.setdefault(attribute, attributes[attribute])
        elif name in _DATES and self._open[-2:] == [_RDF, _DESCRIPTION] and name not in self._values:
            self._property = (len(self._open), name)
            self._values[name] = ""
        self._open.append(name)

    def _end(self, name: str) -> None:
        self._open.pop()
        if self._property and self._property[0] == len(self._open):
            self._property = None

    def _characters(self, text: str) -> None:
        if self._property and len(self._values[self._property[1]]) < 100:
            self._values[self._property[1]] += text


def _refuse(*_: object) -> None:
    raise ValueError("XMP has no document type")


def _without_padding(packet: bytes) -> bytes | str:
    """The XML from its first to its last bracket; UTF-16, which may come without a mark, as text."""
    for encoding, bracket in (("utf-16-le", b"<\0"), ("utf-16-be", b"\0<")):
        if packet.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").startswith(bracket):
            text = packet[: len(packet) // 2 * 2].decode(encoding, "replace")
            return text[text.find("<") : text.rfind(">") + 1]
    return packet[packet.find(b"<") : packet.rfind(b">") + 1]


def _packets(picture: Image.Image) -> Iterator[bytes]:
    main = _as_bytes(picture.info.get("xmp"))
    if main:
        yield main
        yield from _extended(picture, main)
    for key in ("XML:com.adobe.xmp", *_PNG_PROFILES):
        text = picture.info.get(key)
        if isinstance(text, str) and len(text) <= 2 * MAX_BYTES:
            yield _as_bytes(text) if key not in _PNG_PROFILES else _unhex(text)


def _extended(picture: Image.Image, main: bytes) -> Iterator[bytes]:
    """The rest of a packet above 64 KiB, which a JPEG holds in segments of its own."""
    found = _EXTENDED.search(main)
    if not found:
        return
    header = _EXTENSION + found[1].upper()
    body = len(header) + 8  # behind the length of the whole and the offset of the part
    segments = [data for marker, data in getattr(picture, "applist", ()) if marker == "APP1"]
    parts = [data for data in segments if data[: len(header)].upper() == header.upper()][:_MAX_PARTS]
    yield b"".join(data[body:] for data in sorted(parts, key=lambda data: data[body - 4 : body]))


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, bytes) else b""


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""
