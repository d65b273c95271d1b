"""Comparison of an exported model folder with PyTorch, on photos and on texts of different lengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clipsight.clip.model import CLIP
from clipsight.core.errors import ModelError, PhotoError
from clipsight.export.onnx_graph import Precision
from clipsight.indexing.media.photo import open_picture
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.models.preprocess import PreprocessConfig, normalise, resize_and_crop
from clipsight.models.tokenizer import Tokenizer

MAX_DIFFERENCE = 1e-4
"""Largest difference allowed between components of fp32 embeddings and PyTorch's."""

MIN_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.9995, "int8": 0.99}
"""Smallest cosine allowed between an exported embedding and PyTorch's."""

TEXTS = (
    "a dog",
    "a photo of a cat",
    "red",
    "Two children in yellow raincoats are jumping over a puddle.",
    "an astronaut in a white space suit in front of a flag",
    "a cup of coffee on a wooden table, seen from above",
    "the roof of a temple under a blue sky",
    "an old motorcycle in a garage",
    "rocket launch at night",
    "a blurry, grainy black and white photo of nobody in particular",
    "three men playing football in the rain while a crowd of people watches from behind a fence",
    "a close-up of a purple flower with a bee on it - macro photography, shallow depth of field, 85mm f/1.8",
    "screenshot of an e-mail: 'Dear Sir or Madam, 12 %'",
    "Ein Hund läuft am Strand entlang",
    "🏖️ holidays!!!",
    "a market street with fruit stalls, bicycles leaning against the wall, a woman carrying a basket, two "
    "cats asleep on a doorstep, washing hung out between the houses, a man selling newspapers at the "
    "corner, pigeons, and far away at the end of the street the sea with one small white sailing boat on "
    "it under heavy clouds, just before the storm that the old fishermen had been talking about since dawn",
)
"""Texts to compare on, short and long; the last exceeds CLIP's context."""

_BATCH = 8
_MAX_PHOTOS = 64

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Parity:
    """Agreement of exported embeddings with PyTorch's: the worst values over `count` photos or texts."""

    count: int
    cosine: float
    """Smallest cosine."""
    difference: float
    """Largest absolute difference between components of unit vectors."""

    def to_dict(self) -> dict[str, float]:
        """Rounded values as a JSON object."""
        cosine, difference = math.floor(self.cosine * 1e6) / 1e6, float(f"{self.difference:.1e}")
        return {"count": self.count, "cosine": cosine, "difference": difference}


def read_pixels(photos: Sequence[Path], preprocess: PreprocessConfig) -> Pixels:
    """Preprocessed pixels of up to 64 of `photos`, evenly spaced: uint8[n,height,width,3].

    Unreadable photos are left out. Raises ModelError if none can be read.
    """
    reason, pixels = "there is none", []
    chosen = np.linspace(0, len(photos) - 1, min(len(photos), _MAX_PHOTOS)).round().astype(int)
    for index in chosen:
        try:
            photo = open_picture(photos[index], min_side=min(preprocess.size))
        except PhotoError as error:
            reason = f"{photos[index]}: {error}"
        else:
            pixels.append(resize_and_crop(photo, preprocess))
    if not pixels:
        raise ModelError(f"no photo to compare the exported model on ({reason}); name a folder with `photos`")
    return np.stack(pixels)


@torch.inference_mode()
def compare(model: CLIP, folder: Path, pixels: Pixels) -> tuple[Parity, Parity]:
    """Compare `folder`, run by `Encoder`, with `model`: on pixels uint8[n,height,width,3] and on TEXTS."""
    model_folder = ModelFolder.read(folder)
    encoder, tokenizer = Encoder(model_folder), Tokenizer(model_folder)
    images = []
    for start in range(0, len(pixels), _BATCH):
        batch = normalise(pixels[start : start + _BATCH], model_folder.preprocess)
        images.append(model.encode_image(torch.from_numpy(batch)).numpy())
    texts = model.encode_text(torch.from_numpy(tokenizer(TEXTS).ids)).numpy()
    return (
        _parity(encoder.encode_pixels(pixels), np.concatenate(images)),
        _parity(encoder.encode_texts(TEXTS), texts),
    )


def check(parity: Parity, inputs: str, precision: Precision) -> None:
    """Raise ModelError if embeddings of `inputs` ("photos" or "texts") differ too much for `precision`."""
    min_cosine = MIN_COSINE[precision]
    if precision == "fp32" and not parity.difference <= MAX_DIFFERENCE:
        raise ModelError(
            f"the exported vectors of {inputs} differ from PyTorch's by {parity.difference:.1e}, more than "
            f"{MAX_DIFFERENCE:g}; nothing is written: please report this, with the weights used"
        )
    if not parity.cosine >= min_cosine:
        wider = "fp16 or fp32" if precision == "int8" else "fp32"
        raise ModelError(
            f"as {precision}, a cosine between the vectors of {inputs} and PyTorch's is {parity.cosine:.4f}, "
            f"below {min_cosine}; nothing is written: set `precision` to {wider}"
        )


def _parity(exported: NDArray[np.float32], expected: NDArray[np.float32]) -> Parity:
    """Parity of two arrays of embeddings, float32[n,embed_dim]."""
    a, b = exported.astype(np.float64), expected.astype(np.float64)
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return Parity(len(a), float(cosines.min()), float(np.abs(a - b).max()))
