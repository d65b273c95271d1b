"""Models whose explanations are known: one in numpy, and a tiny folder that has a vector for no words."""

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from PIL.Image import Image

from clipsight.models.preprocess import PreprocessConfig, resize_and_crop
from tests.support.arrays import unit
from tests.support.tiny_models import make_model_folder

SIDE, DIM = 32, 64


class FakeModel:
    """Its photos are told apart by how bright their upper left and lower right quarters are; it counts."""

    name = "fake"
    dim = DIM
    preprocessing = PreprocessConfig(size=(SIDE, SIDE))

    def __init__(self, context_length: int = 1000) -> None:
        self.context_length = context_length
        self.texts: list[str] = []
        self.photos = 0

    def preprocess(self, image: Image) -> NDArray[np.uint8]:
        return resize_and_crop(image, self.preprocessing)

    def encode_pixels(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Number 0 is the upper left quarter, 1 the lower right one, 2 the same for all."""
        self.photos += len(pixels)
        vectors = np.zeros((len(pixels), DIM), np.float32)
        for vector, photo in zip(vectors, pixels, strict=True):
            half = SIDE // 2
            vector[:3] = photo[:half, :half].mean() / 255, photo[half:, half:].mean() / 255, 0.5
        return unit(vectors)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The sum of a vector for each word, by its letters, and one for having words at all or not."""
        self.texts += texts
        vectors = np.ones((len(texts), DIM), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in text.split():
                vector += np.random.default_rng(crc32(word.encode())).standard_normal(DIM)
        return unit(vectors)

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        return tuple(len(text.split()) > self.context_length for text in texts)


def photo_of(upper_left: int, lower_right: int) -> NDArray[np.uint8]:
    """Pixels of two grey quarters on black."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[: SIDE // 2, : SIDE // 2] = upper_left
    pixels[SIDE // 2 :, SIDE // 2 :] = lower_right
    return pixels


def make_folder(path: Path) -> Path:
    """The tiny model of `tiny_models`, whose texts have a vector in common, so that no words are one too."""
    folder = make_model_folder(path, name="tiny")
    file = folder / "textual" / "model.onnx"
    model = onnx.load(file)
    last = model.graph.node[-1]
    dim = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    common = np.random.default_rng(7).standard_normal(dim).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(common, "common"))
    model.graph.node.insert(
        len(model.graph.node) - 1, helper.make_node("Add", [last.input[0], "common"], ["with_common"])
    )
    last.input[0] = "with_common"
    onnx.save(model, file)
    return folder
