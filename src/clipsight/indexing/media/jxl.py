"""JPEG XL files, by pillow-jxl-plugin (the extra `jxl`).

The plugin decodes as soon as it opens a file; here, the size is read first (ISO/IEC 18181-1, D.2; 18181-2),
so that limits are checked before.
"""

from collections.abc import Iterator
from typing import IO, Any

from PIL import Image, ImageFile

from clipsight.core.errors import PhotoError
from clipsight.core.extras import require
from clipsight.indexing.media.exif import ORIENTATION

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_HEADER_BYTES = 16
_MAX_BOXES = 1000


class JxlFile(ImageFile.ImageFile):
    """A JPEG XL file whose pixels the plugin decodes. Raises PhotoError if it is not installed."""

    format = "JXL"
    format_description = "JPEG XL"

    def _open(self) -> None:
        assert self.fp is not None
        self._plugin = require("jxl", "pillow_jxl.JpegXLImagePlugin", error=PhotoError)
        self._size = read_size(_codestream(self.fp))
        self._mode = "RGB"  # known after decoding

    def load(self) -> Any:
        """Decode the pixels."""
        if self._im is None:
            assert self.fp is not None
            self.fp.seek(0)
            try:
                decoded = self._plugin.JXLImageFile(self.fp, "")
                decoded.load()
            except RuntimeError as error:  # whose text is on building the plugin
                raise OSError("it can't be decoded") from error
            self.im, self.info = decoded.im, decoded.info
            self._mode, self._size = decoded.mode, decoded.size
            self.tile = []
            if not decoded.jpeg:  # libjxl has turned it; a JPEG in a JPEG XL file comes as it is
                self.getexif().pop(ORIENTATION, None)
        return Image.Image.load(self)


def read_size(head: bytes) -> tuple[int, int]:
    """Width and height by the first bytes of a codestream. Raises ValueError."""
    if not head.startswith(_CODESTREAM):
        raise ValueError("it has no codestream")
    bits = _bits(head[len(_CODESTREAM) :])
    is_small = _number(bits, 1)
    height = _length(bits, is_small)
    ratio = _number(bits, 3)
    if not ratio:
        return _length(bits, is_small), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _length(bits: Iterator[int], is_small: int) -> int:
    if is_small:
        return 8 * (1 + _number(bits, 5))
    return 1 + _number(bits, (9, 13, 18, 30)[_number(bits, 2)])


def _number(bits: Iterator[int], count: int) -> int:
    try:
        return sum(next(bits) << place for place in range(count))
    except (StopIteration, RuntimeError):
        raise ValueError("truncated header") from None


def _bits(data: bytes) -> Iterator[int]:
    """The bits of each byte, the lowest first."""
    return (byte >> place & 1 for byte in data for place in range(8))


def _codestream(file: IO[bytes]) -> bytes:
    """The first bytes of the codestream, which is the file, or in its first box `jxlc` or `jxlp`."""
    head = file.read(_HEADER_BYTES)
    if not head.startswith(_CONTAINER):
        return head
    at = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        box = file.read(16)
        size, kind, start = int.from_bytes(box[:4]), box[4:8], at + 8
        if size == 1:
            size, start = int.from_bytes(box[8:16]), at + 16
        if kind in (b"jxlc", b"jxlp"):
            file.seek(start + (4 if kind == b"jxlp" else 0))
            return file.read(_HEADER_BYTES)
        if size < 8:
            break
        at += size
    return b""
