"""Does an exported folder give PyTorch's vectors, of real photos and of texts of every length?"""

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

LARGEST_DIFFERENCE = 1e-4
"""Between a number of an fp32 folder's unit vectors and PyTorch's."""

LEAST_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.9995, "int8": 0.99}
"""Between any vector of the folder and PyTorch's."""

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
"""Short and long, the last longer than CLIP's context: the texts whose vectors are compared."""

_BATCH = 8
_MOST_PHOTOS = 64

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """How near vectors of a folder are to PyTorch's: the worst of `count` photos or texts."""

    count: int
    cosine: float
    difference: float
    """The largest between two numbers of unit vectors."""

    def to_dict(self) -> dict[str, float]:
        """The figures as they are kept and printed."""
        cosine, difference = math.floor(self.cosine * 1e6) / 1e6, float(f"{self.difference:.1e}")
        return {"count": self.count, "cosine": cosine, "difference": difference}


def read_pixels(photos: Sequence[Path], preprocess: PreprocessConfig) -> Pixels:
    """What a model sees of up to 64 of `photos`, from everywhere among them: uint8[n,H,W,3].

    Those that can't be read are left out. Raises ModelError where none is left.
    """
    reason, pixels = "there is none", []
    chosen = np.linspace(0, len(photos) - 1, min(len(photos), _MOST_PHOTOS)).round().astype(int)
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
def compare(model: CLIP, folder: Path, pixels: Pixels) -> tuple[Agreement, Agreement]:
    """The vectors that search gets from `folder` beside those of `model`: of photos, and of TEXTS."""
    read = ModelFolder.read(folder)
    encoder, tokenizer = Encoder(read), Tokenizer(read)
    images = []
    for start in range(0, len(pixels), _BATCH):
        batch = normalise(pixels[start : start + _BATCH], read.preprocess)
        images.append(model.encode_image(torch.from_numpy(batch)).numpy())
    texts = model.encode_text(torch.from_numpy(tokenizer(TEXTS).ids)).numpy()
    return (
        _agreement(encoder.encode_pixels(pixels), np.concatenate(images)),
        _agreement(encoder.encode_texts(TEXTS), texts),
    )


def check(found: Agreement, what: str, precision: Precision) -> None:
    """Raise ModelError where the vectors of `what` are not near enough for `precision`."""
    least = LEAST_COSINE[precision]
    if precision == "fp32" and not found.difference <= LARGEST_DIFFERENCE:
        raise ModelError(
            f"the exported vectors of {what} differ from PyTorch's by {found.difference:.1e}, more than "
            f"{LARGEST_DIFFERENCE:g}; nothing is written: please report this, with the weights used"
        )
    if not found.cosine >= least:
        wider = "fp16 or fp32" if precision == "int8" else "fp32"
        raise ModelError(
            f"as {precision}, a cosine between the vectors of {what} and PyTorch's is {found.cosine:.4f}, "
            f"below {least}; nothing is written: use `precision={wider}`"
        )


def _agreement(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> Agreement:
    one, other = mine.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = (one * other).sum(axis=1) / lengths
    return Agreement(len(one), float(cosine.min()), float(np.abs(one - other).max()))
