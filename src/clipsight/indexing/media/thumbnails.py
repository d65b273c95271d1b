"""Thumbnails of photos of any kind, and as data URIs for self-contained HTML."""

import base64
import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

_AT_ONCE = 4
"""Photos that are decoded at a time, at most."""


def thumbnails(photos: Iterable[Picture], size: tuple[int, int]) -> "Iterator[Image | str]":
    """Yield each photo in RGB within `size` (width, height), or the reason why it can't be read.

    Photos keep their aspect ratio and are not enlarged.
    """
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda photo: _thumbnail(photo, size), photos)


def data_uri(image: "Image", quality: int = 85) -> str:
    """The image as a JPEG in a `data:` URI."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _thumbnail(photo: Picture, size: tuple[int, int]) -> "Image | str":
    from PIL.Image import Resampling

    try:
        image = photo.open(min_side=min(size))
    except PhotoError as error:
        return str(error)
    if image.width > size[0] or image.height > size[1]:
        image = image.copy()  # the pixels may be a caller's
        image.thumbnail(size, Resampling.LANCZOS, reducing_gap=3.0)
    return image
