"""Preprocessing of photos as in the model's training, configured by `visual/preprocess_cfg.json`.

There are two steps, so that queued photos take little memory: `resize_and_crop` returns uint8 pixels, and
`normalise` computes the float32 tensor, which is four times as large, just before the model runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

# "random" is a random filter in OpenCLIP's training and bicubic in its inference.
_INTERPOLATIONS = ("bicubic", "bilinear", "random")
_RESIZE_MODES = ("shortest", "squash", "longest")
_MODES = ("RGB",)

# If the resized photo would be longer, in pixels, only the cropped part is resized: a strip of 1 x 100,000
# pixels would take gigabytes. Otherwise the whole photo is resized, which is exact to the last bit.
_MAX_RESIZED_LENGTH = 16_384


@dataclass(frozen=True)
class PreprocessConfig:
    """Preprocessing parameters, the fields of OpenCLIP's `PreprocessCfg`.

    `size` is (height, width) in pixels; `mean` and `std` are per RGB channel, for values from 0 to 1.
    """

    size: tuple[int, int] = (224, 224)
    mode: str = "RGB"
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "PreprocessConfig":
        """Read the object of a `preprocess_cfg.json`; missing or null fields have OpenCLIP's defaults.

        Raises ModelError with the field and its valid values.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        return cls(
            size=_size(given.get("size", cls.size)),
            mode=_one_of("mode", given.get("mode", cls.mode), _MODES),
            mean=_channels("mean", given.get("mean", cls.mean)),
            std=_channels("std", given.get("std", cls.std), above=0.0),
            interpolation=_one_of(
                "interpolation", given.get("interpolation", cls.interpolation), _INTERPOLATIONS
            ),
            resize_mode=_one_of("resize_mode", given.get("resize_mode", cls.resize_mode), _RESIZE_MODES),
            fill_color=_colour(given.get("fill_color", cls.fill_color)),
        )


def resize_and_crop(image: "Image", config: PreprocessConfig) -> NDArray[np.uint8]:
    """Resize and crop a photo to the model's input size: uint8 [H, W, 3].

    `shortest` scales the short side to the target and crops the centre, rounding as transformers'
    `CLIPImageProcessor` does (sizes and offsets down); `squash` ignores the aspect ratio; `longest`
    scales the long side to the target and fills the rest with `fill_color` (OpenCLIP `transform.py`).
    """
    rgb = image if image.mode == config.mode else image.convert(config.mode)
    if config.resize_mode == "squash":
        return _pixels(_resize(rgb, config.size, config))
    if config.resize_mode == "longest":
        return _fit(rgb, config)
    return _cover(rgb, config)


def normalise(
    pixels: NDArray[np.uint8], config: PreprocessConfig, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Compute (value / 255 - mean) / std, channels first: uint8 [..., H, W, 3] to float32 [..., 3, H, W].

    The 256 possible results of each channel are computed once, in float64, and looked up. `out`, if given, is
    filled and returned.
    """
    *batch, height, width, channels = pixels.shape
    if out is None:
        out = np.empty((*batch, channels, height, width), np.float32)
    # One contiguous plane at a time: looking up strided values takes six times as long.
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, -3))
    for *photo, channel in np.ndindex(*batch, channels):
        values = _lookup(config.mean, config.std)[channel]
        # mode="clip" has nothing to clip in 256 values; it avoids the copy of `out` that "raise" makes.
        np.take(values, planes[*photo, channel], out=out[*photo, channel], mode="clip")
    return out


@lru_cache(maxsize=8)
def _lookup(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[NDArray[np.float32], ...]:
    levels = np.arange(256) / 255.0
    return tuple(((levels - m) / s).astype(np.float32) for m, s in zip(mean, std, strict=True))


def _cover(image: "Image", config: PreprocessConfig) -> NDArray[np.uint8]:
    """Resize so that the photo covers the target, and crop the centre."""
    height, width = config.size
    if height == width:
        new_width, new_height = _shortest_edge(image.width, image.height, height)
    else:
        ratio = min(image.height / height, image.width / width)
        new_width, new_height = round(image.width / ratio), round(image.height / ratio)
    left, top = (new_width - width) // 2, (new_height - height) // 2
    if max(new_width, new_height) > _MAX_RESIZED_LENGTH:
        return _pixels(_centre_of_strip(image, max(new_width, new_height), max(left, top), config))
    resized = _pixels(_resize(image, (new_height, new_width), config))
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def _shortest_edge(width: int, height: int, target: int) -> tuple[int, int]:
    if width <= height:
        return target, int(target * height / width)
    return int(target * width / height), target


def _centre_of_strip(image: "Image", new_length: int, start: int, config: PreprocessConfig) -> "Image":
    """The result of `_cover` for a very long photo, computed by resizing the cropped part only.

    As in Pillow, rows are resized first and rounded to bytes, then columns.
    """
    height, width = config.size
    box: tuple[float, float, float, float]
    if image.width > image.height:
        scale = image.width / new_length
        first, last = _window(start * scale, (start + width) * scale, scale, image.width)
        box = (start * scale - first, 0, (start + width) * scale - first, image.height)
        part = image.crop((first, 0, last, image.height))
        return _resize(_resize(part, (image.height, width), config, box), config.size, config)
    scale = image.height / new_length
    first, last = _window(start * scale, (start + height) * scale, scale, image.height)
    box = (0, start * scale - first, width, (start + height) * scale - first)
    part = image.crop((0, first, image.width, last))
    return _resize(_resize(part, (last - first, width), config), config.size, config, box)


def _window(start: float, end: float, scale: float, length: int) -> tuple[int, int]:
    """Range of source pixels between two positions, extended by the support of the bicubic filter."""
    support = 2 * max(scale, 1.0) + 1
    return max(0, math.floor(start - support)), min(length, math.ceil(end + support))


def _fit(image: "Image", config: PreprocessConfig) -> NDArray[np.uint8]:
    """Resize so that the photo fits into the target, and fill the rest."""
    height, width = config.size
    ratio = max(image.height / height, image.width / width)
    # A very long photo would round to zero pixels, at which OpenCLIP fails.
    new_height, new_width = max(1, round(image.height / ratio)), max(1, round(image.width / ratio))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = config.fill_color
    canvas[top : top + new_height, left : left + new_width] = _pixels(
        _resize(image, (new_height, new_width), config)
    )
    return canvas


def _resize(
    image: "Image",
    size: tuple[int, int],
    config: PreprocessConfig,
    box: tuple[float, float, float, float] | None = None,
) -> "Image":
    from PIL.Image import Resampling

    bilinear = config.interpolation == "bilinear"
    return image.resize(size[::-1], Resampling.BILINEAR if bilinear else Resampling.BICUBIC, box)


def _pixels(image: "Image") -> NDArray[np.uint8]:
    return np.asarray(image, np.uint8)


def _one_of(field: str, value: Any, accepted: Sequence[str]) -> str:
    if value not in accepted:
        raise ModelError(f"preprocess field {field!r} is {value!r}; it may be {', '.join(accepted)}")
    return str(value)


def _size(value: Any) -> tuple[int, int]:
    sides = list(value) if isinstance(value, list | tuple) else [value]
    if len(sides) not in (1, 2) or not all(type(side) is int and side > 0 for side in sides):
        raise ModelError(f"preprocess field 'size' is {value!r}; it may be pixels or [height, width]")
    return sides[0], sides[-1]


def _channels(field: str, value: Any, above: float | None = None) -> tuple[float, float, float]:
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != len(values) or len(numbers) != 3 or not np.isfinite(numbers).all():
        raise ModelError(f"preprocess field {field!r} is {value!r}; it may be a number or three of them")
    if above is not None and min(numbers) <= above:
        raise ModelError(f"preprocess field {field!r} is {value!r}; its values must be above {above:g}")
    return numbers[0], numbers[1], numbers[2]


def _colour(value: Any) -> tuple[int, int, int]:
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in values):
        raise ModelError(
            f"preprocess field 'fill_color' is {value!r}; it may be 0 to 255 or three such numbers"
        )
    return values[0], values[1], values[2]
