"""PNG files by Pillow's reader, and rows that are missing without an error."""

from typing import Any

from PIL import PngImagePlugin

from clipsight.indexing.media import png_chunks


class PngFile(PngImagePlugin.PngImageFile):
    """A PNG file whose `load` raises OSError if its compressed pixels end before the last row.

    The image then has the others, and zeros; Pillow (12.3 at least) takes it for whole.
    """

    def _open(self) -> None:
        super()._open()
        self._source = self.fp

    def load(self) -> Any:
        """Decode the pixels."""
        is_first = self._im is None
        loaded = super().load()
        if is_first and self._may_lack_rows() and self._lacks_rows():
            raise OSError("its pixels end before its last row")
        return loaded

    def _may_lack_rows(self) -> bool:
        """True if the last row is zeros; always of an interlaced picture, whose rows come in no order."""
        last = self._new(self.im).crop((0, self.height - 1, self.width, self.height))
        return bool(self.info.get("interlace")) or last.getbbox(alpha_only=False) is None

    def _lacks_rows(self) -> bool:
        if self._source is None:
            return False
        self._source.seek(0)
        chunks = list(png_chunks.split(self._source.read()))
        pixels = b"".join(body for kind, body, _ in chunks if kind == b"IDAT")
        expected = png_chunks.raw_size(chunks[0][1])
        return png_chunks.count(pixels, expected) < expected
