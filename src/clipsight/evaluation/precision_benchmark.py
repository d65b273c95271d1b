"""Folders of one model in several precisions, side by side: which is worth using on this machine?

Whether int8 or fp16 is faster than fp32 depends on the processor, so it is measured, not assumed. Called by
`clipsight compare-models`. Nothing is chosen behind the user's back: vectors of two folders never meet in
one library, so to use another is to say so.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import ModelError, PhotoError

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

NEAR = 0.99
"""The least cosine to the first model at which another is called the same but for its speed."""

FASTER = 1.1
"""How much faster than the first a model must be to be worth a new embedding of all photos."""

TEXTS = (
    "a dog",
    "two children in yellow raincoats are jumping over a puddle",
    "an astronaut in a white space suit in front of a flag",
    "a cup of coffee on a wooden table, seen from above",
    "the roof of a temple under a blue sky",
    "an old motorcycle in a garage",
    "rocket launch at night",
    "a purple flower with a bee on it, macro photography",
)

_MOST_PHOTOS = 32
_ROUNDS = 3

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Compared:
    """One model of several: speed on this machine, and nearness to the first of them."""

    name: str
    path: str
    megabytes: float
    photos_a_second: float
    texts_a_second: float
    photo_cosine: float
    """The least, over the photos, between this model's vector and the first one's."""
    text_cosine: float
    """Likewise over `TEXTS`."""

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        return asdict(self)


def compare(models: Sequence[Path], photos: Sequence[Path], *, threads: int | None = None) -> list[Compared]:
    """Measure the model folders on this machine, all cores or `threads`, in turn; the first is the measure.

    Up to 32 of `photos` are compared, those that can't be read left out. Raises `ModelError` if none can, or
    if the vectors of two models have not the same length.
    """
    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder

    encoders = [Encoder(ModelFolder.read(path), threads=threads) for path in models]
    first = encoders[0]
    for other in encoders[1:]:
        if other.dim != first.dim:
            raise ModelError(
                f"{other.name} gives {other.dim} numbers, {first.name} {first.dim}: they are not one model "
                "in two precisions; to compare different models: clipsight models, clipsight evaluate"
            )
    seen = [_embedded(photos, encoder) for encoder in encoders]
    read = [encoder.encode_texts(TEXTS) for encoder in encoders]
    rounds = np.array([[_speeds(encoder) for encoder in encoders] for _ in range(_ROUNDS)])
    speeds = rounds.max(axis=0).tolist()
    return [
        Compared(
            name=encoder.name,
            path=str(path),
            megabytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6,
            photos_a_second=photos_a_second,
            texts_a_second=texts_a_second,
            photo_cosine=_least_cosine(seen[number], seen[0]),
            text_cosine=_least_cosine(read[number], read[0]),
        )
        for number, (path, encoder, (photos_a_second, texts_a_second)) in enumerate(
            zip(models, encoders, speeds, strict=True)
        )
    ]


def worth_using(compared: Sequence[Compared]) -> Compared | None:
    """The fastest with photos that gives the first one's vectors, if it is worth a change; else None."""
    first, *others = compared
    near = [each for each in others if min(each.photo_cosine, each.text_cosine) >= NEAR]
    best = max(near, key=lambda each: each.photos_a_second, default=first)
    return best if best.photos_a_second >= FASTER * first.photos_a_second else None


def _embedded(photos: Sequence[Path], encoder: "Encoder") -> Floats:
    from clipsight.indexing.media.photo import open_picture

    chosen = np.linspace(0, len(photos) - 1, min(len(photos), _MOST_PHOTOS)).round().astype(int)
    pixels = []
    for number in chosen:
        try:
            pixels.append(encoder.preprocess(open_picture(photos[number], min_side=max(encoder.input_size))))
        except PhotoError:
            continue
    if not pixels:
        raise ModelError("no photo to compare models on can be read: name a folder of some with `photos`")
    return encoder.encode_pixels(pixels)


def _least_cosine(some: Floats, others: Floats) -> float:
    return float((some * others).sum(axis=1).min())


def _speeds(encoder: "Encoder") -> tuple[float, float]:
    """Photos and texts a second: photos as indexing embeds them, texts one at a time as searches come."""
    from clipsight.indexing.autotune import DEFAULT_SETTINGS, EncoderBenchmark

    started = time.perf_counter()
    for text in TEXTS:
        encoder.encode_texts([text])
    texts = len(TEXTS) / (time.perf_counter() - started)
    return 1 / EncoderBenchmark(encoder)(DEFAULT_SETTINGS).wall, texts
