"""Raw files of cameras, by rawpy (the extra `raw`): their preview, or else their sensor's data at half size.

Most raw formats are TIFF files; the data of a sensor (TIFF/EP, ISO 12234-2; DNG) tells them from others.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from PIL import Image, ImageFile

from clipsight.core.errors import PhotoError
from clipsight.core.extras import require
from clipsight.indexing.media.exif import ORIENTATION

SIGNATURES = (
    (b"IIRO", "RAW"),  # Olympus
    (b"IIRS", "RAW"),
    (b"MMOR", "RAW"),
    (b"IIU\0", "RAW"),  # Panasonic, Leica
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"FOVb", "RAW"),  # Sigma
    (b"\0MRM", "RAW"),  # Minolta
    (b"II\x1a\0\0\0HEAPCCDR", "RAW"),  # Canon's CRW
)
"""First bytes of the raw formats that are no TIFF files."""

MIN_PREVIEW = 1000
"""Length in pixels of a preview's long side from which it stands for the photo."""

_TIFF_MAGIC = {b"IIRO": b"II*\0", b"IIRS": b"II*\0", b"MMOR": b"MM\0*", b"IIU\0": b"II*\0"}
"""First bytes of formats that are TIFF files but for these."""

_PHOTOMETRIC, _STRIPS, _STRIP_BYTES, _SUBDIRECTORIES = 262, 273, 279, 330
_TILES, _TILE_BYTES, _DNG_VERSION = 324, 325, 50706
_SENSOR_DATA = (32803, 34892)
"""Photometric interpretations of raw files: colour filter array, and linear raw."""

_WANTED = {_PHOTOMETRIC, _STRIPS, _STRIP_BYTES, _SUBDIRECTORIES, _TILES, _TILE_BYTES, _DNG_VERSION}
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I"}
_MAX_DIRECTORIES, _MAX_ENTRIES, _MAX_VALUES = 20, 1000, 100_000

_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}
"""LibRaw's turn -> orientation of EXIF."""

_Directory = dict[int, tuple[int, ...]]


def is_raw_tiff(file: IO[bytes]) -> bool:
    """True for a TIFF file that holds the data of a sensor. Raises OSError if the file can't be read."""
    file.seek(0)
    head = file.read(12)
    if head[8:11] == b"CR\2" or head[8:12] == b"IIII":  # Canon's CR2, Phase One
        return True
    for directory in _directories(file):
        if _DNG_VERSION in directory or directory.get(_PHOTOMETRIC, (0,))[0] in _SENSOR_DATA:
            return True
    return False


def is_cut_short(file: IO[bytes]) -> bool:
    """True for a TIFF file whose directories refer to data behind its end."""
    end = file.seek(0, io.SEEK_END)
    return any(
        start + size > end
        for directory in _directories(file)
        for starts, sizes in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES))
        for start, size in zip(directory.get(starts, ()), directory.get(sizes, ()), strict=False)
    )


def _directories(file: IO[bytes]) -> Iterator[_Directory]:
    """Yield the directories of a TIFF file, with those below them, as far as they can be read."""
    file.seek(0)
    head = file.read(8)
    order = ">" if head[:2] == b"MM" else "<"
    pending = list(struct.unpack(order + "I", head[4:])) if len(head) == 8 else []
    seen: set[int] = set()
    while pending and len(seen) < _MAX_DIRECTORIES:
        start = pending.pop(0)
        if start in seen or not start:
            continue
        seen.add(start)
        with suppress(struct.error, OverflowError):
            directory, following = _directory(file, start, order)
            pending += [*directory.get(_SUBDIRECTORIES, ()), following]
            yield directory


def _directory(file: IO[bytes], start: int, order: str) -> tuple[_Directory, int]:
    """The wanted tags of the directory at `start`, and the start of the next one, 0 for none."""
    file.seek(start)
    (count,) = struct.unpack(order + "H", file.read(2))
    entries = file.read(12 * min(count, _MAX_ENTRIES))
    following = file.read(4)
    found: _Directory = {}
    for at in range(0, len(entries) - 11, 12):
        tag, type_, number = struct.unpack_from(order + "HHI", entries, at)
        if tag in _WANTED and type_ in _TYPES and number <= _MAX_VALUES:
            size = struct.calcsize(f"={number}{_TYPES[type_]}")
            data = entries[at + 8 : at + 8 + size]
            if size > 4:
                file.seek(struct.unpack_from(order + "I", entries, at + 8)[0])
                data = file.read(size)
            if len(data) == size and number:
                found[tag] = struct.unpack(f"{order}{number}{_TYPES[type_]}", data)
    return found, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


class RawFile(ImageFile.ImageFile):
    """A raw file whose pixels are its preview's, or decoded by LibRaw. Raises PhotoError without rawpy.

    `stored_size` is the width and height of the sensor's data, `full_size` those of the upright photo.
    """

    format = "RAW"
    format_description = "raw file of a camera"

    def _open(self) -> None:
        assert self.fp is not None
        self._rawpy = require("raw", "rawpy", error=PhotoError)
        self.fp.seek(0)
        self._raw = self._rawpy.RawPy()
        self._checked(self._raw.open_buffer, self.fp)
        sizes = self._raw.sizes
        self.stored_size = (sizes.raw_width, sizes.raw_height)
        self._size = (sizes.width, sizes.height)
        self._turn = _ORIENTATIONS.get(sizes.flip, 1)
        self.full_size = self._size[::-1] if self._turn >= 5 else self._size
        self._mode = "RGB"

    def load(self) -> Any:
        """Decode the pixels, which are upright only after the orientation of `getexif` is applied."""
        if self._im is None:
            preview = self._preview()
            decoded = preview if preview and max(preview.size) >= MIN_PREVIEW else self._half_size()
            self._exif = self._metadata(preview)
            self._exif[ORIENTATION] = self._turn
            self._raw.close()
            self.im, self._mode, self._size = decoded.im, decoded.mode, decoded.size
            if profile := decoded.info.get("icc_profile"):
                self.info["icc_profile"] = profile
            self.tile = []
        return Image.Image.load(self)

    def _preview(self) -> Image.Image | None:
        """The largest preview, as it is stored; None if there is none to be read."""
        try:
            preview = self._raw.extract_thumb()
            if preview.format == self._rawpy.ThumbFormat.BITMAP:
                return Image.fromarray(preview.data)
            picture = Image.open(io.BytesIO(preview.data), formats=["JPEG"])
            picture.load()
        except Exception:  # none, damaged, or of another format: the sensor's data are decoded
            return None
        return picture

    def _half_size(self) -> Image.Image:
        """The sensor's data in sRGB, with the camera's white balance."""
        assert self.fp is not None
        if self._is_tiff() and is_cut_short(self.fp):
            raise OSError("truncated")
        options = {"half_size": True, "use_camera_wb": True, "output_bps": 8, "user_flip": 0}
        return Image.fromarray(self._checked(self._raw.postprocess, **options))

    def _checked(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """The result of LibRaw, whose errors are raised with a text that is on the file."""
        try:
            return call(*arguments, **options)
        except self._rawpy.LibRawFileUnsupportedError as error:
            raise NotImplementedError("LibRaw does not know this camera's format") from error
        except self._rawpy.LibRawIOError as error:
            raise OSError("truncated") from error
        except (self._rawpy.LibRawError, self._rawpy.NotSupportedError) as error:
            text = error.args[0] if error.args else ""
            raise OSError(text.decode(errors="replace") if isinstance(text, bytes) else str(text)) from error

    def _is_tiff(self) -> bool:
        assert self.fp is not None
        self.fp.seek(0)
        head = self.fp.read(4)
        return head in (b"II*\0", b"MM\0*")

    def _metadata(self, preview: Image.Image | None) -> Image.Exif:
        """EXIF of the file, where it is like a TIFF file, else of its preview."""
        assert self.fp is not None
        self.fp.seek(0)
        data = self.fp.read()
        magic = _TIFF_MAGIC.get(data[:4], data[:4])
        found = Image.Exif()
        if magic in (b"II*\0", b"MM\0*"):
            with suppress(Exception):  # damaged: Pillow's parser raises many types
                found.load(b"Exif\0\0" + magic + data[4:])
        if not found and preview is not None:
            with suppress(Exception):
                found = preview.getexif()
        return found
