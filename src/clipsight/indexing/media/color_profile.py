"""Conversion of embedded ICC profiles to sRGB, the colour space of the models, of thumbnails and of pages."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_MODES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow mode -> colour space in the header of an ICC profile (ICC.1:2022, 7.2.6)."""

_MAX_ROUNDING = 2
"""A profile that changes no channel by more than this is sRGB under another name, and is not applied."""

_STEPS = (0, 51, 102, 153, 204, 255)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image of mode RGB, L or CMYK with an ICC profile to RGB in sRGB.

    The image itself is returned, in its own mode, if it has no profile, a damaged one, one of another colour
    space than its mode, or sRGB.
    """
    transform = _transform(profile, image.mode) if profile and image.mode in _MODES else None
    if transform is None:
        return image
    converted = Image.new("RGB", image.size, None)  # uninitialised
    transform.apply(image, converted)
    return converted


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert CIELab (D50), mode LAB, to RGB in sRGB."""
    converted = Image.new("RGB", image.size, None)
    _lab_transform().apply(image, converted)
    return converted


@lru_cache(maxsize=1)
def _lab_transform() -> "ImageCmsTransform":
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Transform from `profile` to sRGB; None if it can't be used, or would change nothing."""
    from PIL import ImageCms

    if profile[16:20].decode("latin-1") != _MODES[mode]:
        return None
    try:
        transform = ImageCms.buildTransform(
            io.BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):  # ImportError: no Little CMS
        return None
    return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    colours = [(r, g, b) for r in _STEPS for g in _STEPS for b in _STEPS]
    sample = Image.new("RGB", (len(colours), 1))
    sample.putdata(colours)
    sample = sample.convert(mode)
    difference = ImageChops.difference(sample.convert("RGB"), transform.apply(sample))
    return all(high <= _MAX_ROUNDING for _, high in difference.getextrema())  # type: ignore[misc]
