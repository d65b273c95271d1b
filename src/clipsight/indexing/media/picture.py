"""Photos as Python callers give them: files, URLs, bytes, Pillow images, NumPy arrays, ready vectors."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from clipsight.core import paths
from clipsight.core.arguments import DEFAULT_MAX_PIXELS
from clipsight.core.arrays import Float32
from clipsight.core.errors import PhotoError
from clipsight.core.text import is_url

if TYPE_CHECKING:
    from PIL.Image import Image

PhotoLike: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image | npt.NDArray[Any]"
)
"""A photo: the path or http(s) URL of its file, the file's bytes, or a binary file object; a Pillow image;
pixels, uint8[H, W], [H, W, 3] (RGB) or [H, W, 4] (RGBA); or its vector of a model, float[dim]."""

_KINDS = "give a path, bytes, a Pillow image, pixels or a vector"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photo with the name that results and messages give it; one of the next four fields is set."""

    name: str
    file: Path | None = None
    url: str | None = None
    content: "bytes | Image | None" = None
    """The file's bytes, or a Pillow image."""
    vector: Float32 | None = None
    """float32[dim], unit length."""
    size: tuple[int, int] | None = None
    """Width and height of a photo that the library has accepted, though it may exceed the usual limit."""

    @classmethod
    def of(cls, value: "PhotoLike | Picture", name: str = "photo") -> "Picture":
        """The photo that a caller gives, with `name` unless it is a file or has a file's name.

        Raises `PhotoError` for anything else than a `PhotoLike`, and for arrays of other shapes or types:
        pixels are uint8, and a vector is of finite floats, not all 0. A vector is scaled to unit length.
        """
        if isinstance(value, Picture):
            return value
        if isinstance(value, str | os.PathLike):
            return cls._at(os.fspath(value), name)
        if isinstance(value, bytes | bytearray | memoryview):
            return cls(name, content=bytes(value))
        if _is_image(value):
            return cls(_file_name(getattr(value, "filename", None), name), content=value)  # type: ignore[arg-type]
        if hasattr(value, "__array__"):
            return cls._of_array(_array(value, name), name)
        if hasattr(value, "read"):
            return cls(_file_name(getattr(value, "name", None), name), content=_read(value, name))
        raise PhotoError(f"{name} is of type {type(value).__name__}: {_KINDS}")

    @classmethod
    def _at(cls, place: str | bytes, name: str) -> "Picture":
        path = os.fsdecode(place)
        if not path:
            raise PhotoError(f"{name} is an empty path: {_KINDS}")
        if is_url(path):
            return cls(path, url=path)
        file = paths.expand(path)
        return cls(str(file), file=file)

    @classmethod
    def _of_array(cls, array: npt.NDArray[Any], name: str) -> "Picture":
        if not array.size:
            raise PhotoError(f"{name} is an empty array: {_KINDS}")
        if np.issubdtype(array.dtype, np.floating) and array.ndim == 1:
            return cls(name, vector=_unit(array, name))
        if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
            from PIL import Image

            return cls(name, content=Image.fromarray(array.copy()))
        raise PhotoError(
            f"{name} is an array {array.dtype}[{', '.join(map(str, array.shape))}]: pixels are uint8[H, W], "
            "[H, W, 3] or [H, W, 4], from 0 to 255, and a vector is float[dim]"
        )

    @property
    def path(self) -> Path:
        """The file's path, or the name as a path."""
        return self.file or Path(self.name)

    def open(self, *, min_side: int | None = None) -> "Image":
        """The pixels, upright RGB in sRGB, as `decode` gives those of a file, at least `min_side` a side.

        Raises `PhotoError` with the reason, without the name.
        """
        from clipsight.indexing.media.fetch import fetch
        from clipsight.indexing.media.photo import open_picture, upright_rgb

        if self.vector is not None:
            raise PhotoError("a vector has no pixels: give the photo itself")
        source = fetch(self.url) if self.url is not None else self.content
        if source is None or isinstance(source, bytes):
            limit = max(DEFAULT_MAX_PIXELS, prod(self.size or (0,)))
            return open_picture(self.path if source is None else source, min_side=min_side, max_pixels=limit)
        return upright_rgb(source)

    def vector_of(self, model: str, dim: int) -> Float32 | None:
        """The ready vector, if it is one. Raises `PhotoError` unless it has the model's length, `dim`."""
        if self.vector is not None and len(self.vector) != dim:
            raise PhotoError(f"{self.name} has {len(self.vector)} numbers, a vector of {model} has {dim}")
        return self.vector


def pictures(values: "Iterable[PhotoLike | Iterable[PhotoLike]]", name: str = "photo") -> list[Picture]:
    """The photos of an argument that takes any number of them, or of lists of them, in their order.

    Those without a file are called "photo 1", "photo 2"... by their place. Raises `PhotoError`.
    """
    flat = [item for value in values for item in several(value, f"{name}s")]
    return [Picture.of(item, f"{name} {number}") for number, item in enumerate(flat, start=1)]


def folders_and_pictures(
    values: "Iterable[PhotoLike | Iterable[PhotoLike]]",
) -> tuple[list[Path], list[Picture]]:
    """The existing folders among photos, and the photos, each in their order; see `pictures`."""
    found = pictures(values)
    folders = [each.file for each in found if each.file is not None and os.path.isdir(each.file)]
    return folders, [each for each in found if each.file is None or each.file not in folders]


def several(value: Any, name: str) -> list[Any]:
    """The items of the argument `name`, of which one photo (or text) is one item, not its letters or rows.

    An array of several photos, uint8[n, H, W, 3], or vectors, float[n, dim], is its rows. Raises `PhotoError`
    for what is neither a photo nor several.
    """
    if isinstance(value, np.ndarray) and (
        (value.dtype == np.uint8 and value.ndim == 4)
        or (np.issubdtype(value.dtype, np.floating) and value.ndim == 2)
    ):
        return list(value)
    if is_one(value):
        return [value]
    if not isinstance(value, Iterable):
        raise PhotoError(f"`{name}` is of type {type(value).__name__}: {_KINDS}, or several")
    return list(value)


def is_one(value: object) -> bool:
    """True for what is one photo or text, even if it could be iterated over."""
    return (
        isinstance(value, str | os.PathLike | bytes | bytearray | memoryview)
        or _is_image(value)
        or hasattr(value, "__array__")
        or hasattr(value, "read")
    )


def _is_image(value: object) -> bool:
    module = sys.modules.get("PIL.Image")  # before it is imported, nothing can be one
    return module is not None and isinstance(value, module.Image)


def _array(value: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(value)
    except Exception as error:  # PyTorch raises its own for tensors on a GPU, or with a gradient
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PhotoError(f"{name} can't be read as an array: {reason}") from error


def _read(file: Any, name: str) -> bytes:
    """All bytes of a binary file, from its beginning if it has one, as Pillow reads it."""
    try:
        if file.seekable():
            file.seek(0)
    except (AttributeError, OSError, ValueError):
        pass
    try:
        data = file.read()
    except (OSError, ValueError) as error:
        raise PhotoError(f"{name} can't be read: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(data, bytes):
        raise PhotoError(f"{name} is a file of text: open it with open(path, 'rb')")
    return data


def _file_name(given: object, name: str) -> str:
    return given if isinstance(given, str) and given else name


def _unit(array: npt.NDArray[Any], name: str) -> Float32:
    """The vector, float32[dim], scaled to unit length; large numbers don't overflow."""
    wide = array.astype(np.float64)
    peak = np.abs(wide).max()
    if not np.isfinite(peak) or peak == 0:
        raise PhotoError(f"{name} is a vector that is zero or not finite")
    wide /= peak
    unit: Float32 = (wide / np.linalg.norm(wide)).astype(np.float32)
    return unit
