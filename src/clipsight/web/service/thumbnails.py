"""Thumbnails: small JPEGs, made on demand and cached."""

import io

from PIL import Image

SIZES = (160, 320, 640, 1280)
"""Pixels of the longer side."""

MAX_BYTES = 1 << 30
"""Size of the cache, some 60,000 thumbnails of 320 pixels; the oldest are evicted first."""

_QUALITY = 80


def round_size(size: int) -> int:
    """Round up to one of `SIZES`; down to the largest if there is none."""
    return next((each for each in SIZES if each >= size), SIZES[-1])


def encode(image: Image.Image, size: int) -> bytes:
    """Encode the upright RGB `image` as JPEG, at most `size` pixels a side; shrinks `image` in place."""
    image.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
