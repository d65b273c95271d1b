"""`Encoder`: the public class that embeds photos of any kind and texts with one model."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, overload

import numpy as np

from clipsight.core.arguments import texts as checked_texts
from clipsight.core.errors import ModelError
from clipsight.indexing.media.picture import PhotoLike, is_one, pictures, several
from clipsight.models import encoder as towers
from clipsight.models import registry
from clipsight.models.folder import ModelFolder
from clipsight.search.embeddings import embed_pictures

Vector: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float32]]
Vectors: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def _print_note(line: str) -> None:
    print(f"clipsight: {line}", file=sys.stderr)


class Encoder(towers.Encoder):
    """A model that embeds photos and texts; make one with `Encoder.open`.

    Vectors have unit length, so that the inner product of a text's and a photo's is their cosine. Any number
    of threads may use one encoder at once. A forked process opens its own.
    """

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str] = registry.BUILTIN,
        *,
        device: str = "cpu",
        threads: int | None = None,
        note: Callable[[str], None] = _print_note,
    ) -> "Encoder":
        """Open a model: any name that `clipsight models` lists, in any spelling, or a model folder's path.

        A published model that is not on disk is downloaded; `note` is first called with a line that gives its
        size (default: printed on stderr), and a terminal shows the progress. `device` is an ONNX Runtime
        device such as "cpu" or "cuda", `threads` the number of CPU threads (default: all cores). Raises
        `ModelError`.
        """
        folder = ModelFolder.read(registry.locate(model, note=note))
        return cls(folder, device=device, threads=threads)

    @overload
    def encode_images(self, images: "PhotoLike") -> Vector: ...  # type: ignore[overload-overlap]
    @overload
    def encode_images(self, images: "Iterable[PhotoLike]") -> Vectors: ...
    def encode_images(self, images: "PhotoLike | Iterable[PhotoLike]") -> Vector | Vectors:
        """Embed photos of any kind (see `PhotoLike`): float32[n, dim] for a list, float32[dim] for one photo.

        Files are read as in indexing: upright, in sRGB, without transparency. An array of several photos,
        uint8[n, H, W, 3], counts as a list. Raises `PhotoError` for the first photo that can't be read, or
        for which the model returns a zero or NaN vector.
        """
        items = several(images, "images")
        vectors = embed_pictures(pictures([items]), self)
        return vectors[0] if _is_single(images, items) else vectors

    @overload
    def encode_texts(self, texts: str) -> Vector: ...  # type: ignore[overload-overlap]
    @overload
    def encode_texts(self, texts: Iterable[str]) -> Vectors: ...
    def encode_texts(self, texts: str | Iterable[str]) -> Vector | Vectors:
        """Embed texts: float32[n, dim] for a list, float32[dim] for one str.

        Texts are embedded as they are: no query grammar, no prompt template. Texts longer than the model's
        context are cut: see `truncated`. Raises `ModelError` for items that are not str, and
        `InvalidVectorError` if the model returns a zero or NaN vector.
        """
        vectors = super().encode_texts(checked_texts(texts, "texts", error=ModelError))
        return vectors[0] if isinstance(texts, str) else vectors

    def truncated(self, texts: str | Sequence[str]) -> tuple[bool, ...]:
        """True for each text that is longer than the model's context, so that its end is not embedded."""
        return super().truncated(checked_texts(texts, "texts", error=ModelError))

    encode_image = encode_images
    encode_text = encode_texts


def _is_single(images: object, items: Sequence[object]) -> bool:
    """True if `images` is one photo, which `several` returned as its only item."""
    return is_one(images) and len(items) == 1 and items[0] is images
