"""Pictures written by clipsight, which are marked so that they may be replaced."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipsight.core.files import MARK, atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image


def write_picture(draw: "Callable[[], Image]", file: Path, format_: Literal["JPEG", "PNG"]) -> None:
    """Write the picture that `draw` returns to `file`, atomically, with clipsight's mark in its metadata.

    `draw` is called once the file can be written. Raises `LibraryError` if it can't be, or if `file` is a
    picture that clipsight did not write.
    """
    from PIL.PngImagePlugin import PngInfo

    with atomic_write(file) as temporary, temporary.open("xb") as out:
        image = draw()
        if format_ == "JPEG":
            image.save(out, format_, quality=90, subsampling=0, comment=MARK.encode())
        else:
            metadata = PngInfo()
            metadata.add_text("Software", MARK)
            image.save(out, format_, pnginfo=metadata)
