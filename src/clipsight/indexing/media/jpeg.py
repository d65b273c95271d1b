"""JPEG files by Pillow: memory of their coefficients; rows and scans that are missing unnoticed."""

import io
import re
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin

EOI = b"\xff\xd9"
_SOS = b"\xff\xda"
_SOF2 = 0xC2
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends a scan: neither a stuffed byte, nor a restart marker, nor a fill byte."""
_NOISE = b"\x55" * 64
_COEFFICIENT_BYTES = 2
_MADE_UP = (127, 128)
"""Values of pixels that libjpeg makes up where data is missing: those of coefficients of 0."""


class JpegFile(JpegImagePlugin.JpegImageFile):
    """A JPEG file that knows what libjpeg needs for it, and what it lacks.

    `load` raises OSError if rows at the bottom, or later scans of a progressive JPEG, are missing though the
    file has its end marker, of which libjpeg only warns; the image then has the others, and grey.
    """

    working_bytes = 0
    """Bytes of all coefficients of a JPEG in several scans (progressive ones are), of which libjpeg decodes
    none before it has read them all; else 0."""

    def _open(self) -> None:
        super()._open()
        if not self.tile:  # Pillow 13 is content with a part of the header
            raise OSError("truncated")
        self._source = self.fp
        if not self._is_in_one_scan():
            self.working_bytes = self.width * self.height * self.layers * _COEFFICIENT_BYTES

    def load(self) -> Any:
        """Decode the pixels."""
        is_first = self._im is None
        loaded = super().load()
        if is_first and (self._lacks_rows() or self._lacks_scans()):
            raise OSError("truncated")
        return loaded

    def _is_in_one_scan(self) -> bool:
        """True if the first scan, behind whose header Pillow stops reading, has all components."""
        assert self.fp is not None
        length = 6 + 2 * self.layers  # ITU-T T.81, B.2.3
        end = self.fp.tell()
        self.fp.seek(max(0, end - length - len(_SOS)))
        head = self.fp.read(end - self.fp.tell())
        return "progressive" not in self.info and head.startswith(_SOS + length.to_bytes(2))

    def _lacks_rows(self) -> bool:
        """True if the last row is what libjpeg makes up, and other data would change it."""
        last = self._new(self.im).crop((0, self.height - 1, self.width, self.height))
        if self._source is None or not np.isin(np.asarray(last), _MADE_UP).all():
            return False
        self._source.seek(0)
        return bool(missing_rows(without_end(self._source.read()), reduced=True).any())

    def _lacks_scans(self) -> bool:
        if self._source is None or "progressive" not in self.info:
            return False
        self._source.seek(0)
        return lacks_scans(self._source.read())


def lacks_scans(data: bytes) -> bool:
    """True for a progressive JPEG with coefficients that no scan has brought to full precision.

    A scan brings coefficients from Ss to Se of its components to all bits but the lowest Al (ITU-T T.81,
    B.2.3 and G.1.1.1). Encoders write all, so what is missing was cut off. False for a damaged file.
    """
    missing: dict[int, list[int]] = {}
    at = 2
    with suppress(IndexError):
        while (marker := data[at + 1]) != EOI[1]:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
            if marker == _SOF2:
                missing = {data[place]: [1] * 64 for place in range(at + 10, end, 3)}
            if marker == _SOS[1]:
                first, last, bits = data[end - 3 : end]
                for place in range(at + 5, end - 3, 2):
                    if data[place] in missing:
                        missing[data[place]][first : last + 1] = [bits & 15] * (last + 1 - first)
                found = _MARKER.search(data, end)
                if found is None:
                    break
                end = found.start()
            at = end
    return any(any(bits) for bits in missing.values())


def without_end(data: bytes) -> bytes:
    """A JPEG up to its end marker, if it has one. Raises anything if its header is damaged."""
    source = io.BytesIO(data)
    JpegImagePlugin.JpegImageFile(source)
    end = data.find(EOI, source.tell())
    return data[:end] if end >= 0 else data.rstrip(b"\xff")


def missing_rows(data: bytes, *, reduced: bool) -> npt.NDArray[np.bool]:
    """True for each row, at a scale of 1/8 if `reduced`, for which a JPEG without its end marker has no data.

    Noise at its end changes the pixels if entropy-coded data is missing.
    """
    rows = []
    for each in (data + EOI, data + _NOISE + EOI):
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(each))
        if reduced:
            picture.draft(None, (picture.width // 8, picture.height // 8))
        rows.append(np.asarray(picture).reshape(picture.height, -1))
    return np.asarray((rows[0] != rows[1]).any(axis=1))
