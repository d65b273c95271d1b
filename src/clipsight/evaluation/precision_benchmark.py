"""Benchmark of one model in several precisions: speed on this machine, and similarity of the vectors.

The speed of int8 and fp16 relative to fp32 depends on the processor. The benchmark only recommends: a library
never mixes vectors of two model folders, so the user has to choose another precision explicitly.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsight.core.arrays import Float32
from clipsight.core.errors import ModelError, PhotoError
from clipsight.core.files import total_size

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

MIN_COSINE = 0.99
"""Minimum cosine with the vectors of the first model for another one to be recommended."""

MIN_SPEEDUP = 1.1
"""Minimum speed relative to the first model that is worth embedding all photos again."""

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

_MAX_PHOTOS = 32
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Speed of a model on this machine, and similarity of its vectors to those of the first model."""

    name: str
    path: str
    megabytes: float
    photos_a_second: float
    texts_a_second: float
    photo_cosine: float
    """Minimum cosine, over the photos, between vectors of this model and of the first one."""
    text_cosine: float
    """Minimum cosine over `TEXTS`."""

    def to_dict(self) -> dict[str, Any]:
        """The comparison for JSON."""
        return asdict(self)


def compare_models(
    models: Sequence[str | os.PathLike[str]], photos: Sequence[Path], *, threads: int | None = None
) -> list[ModelComparison]:
    """Measure `models`, which are names or folders, on this machine with `threads` (default: all cores).

    Vectors are compared with those of the first model, for up to 32 of `photos`; unreadable ones are left
    out. Raises `ModelError` if none can be read, or if vectors of two models differ in length.
    """
    from clipsight.models import registry
    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder

    folders = [registry.locate(os.fspath(model)) for model in models]
    encoders = [Encoder(ModelFolder.read(path), threads=threads) for path in folders]
    first = encoders[0]
    for other in encoders[1:]:
        if other.dim != first.dim:
            raise ModelError(
                f"{other.name} gives {other.dim} numbers, {first.name} {first.dim}: they are not one model "
                "in two precisions; to compare different models: clipsight models, clipsight evaluate"
            )
    of_photos = [_embed_photos(photos, encoder) for encoder in encoders]
    of_texts = [encoder.encode_texts(TEXTS) for encoder in encoders]
    rounds = np.array([[_speeds(encoder) for encoder in encoders] for _ in range(_ROUNDS)])
    speeds = rounds.max(axis=0).tolist()
    return [
        ModelComparison(
            name=encoder.name,
            path=str(path),
            megabytes=total_size(path) / 1e6,
            photos_a_second=photos_a_second,
            texts_a_second=texts_a_second,
            photo_cosine=_min_cosine(of_photos[number], of_photos[0]),
            text_cosine=_min_cosine(of_texts[number], of_texts[0]),
        )
        for number, (path, encoder, (photos_a_second, texts_a_second)) in enumerate(
            zip(folders, encoders, speeds, strict=True)
        )
    ]


def recommended(compared: Sequence[ModelComparison]) -> ModelComparison | None:
    """The fastest model with vectors similar to the first one's; None if the gain is below `MIN_SPEEDUP`."""
    first, *others = compared
    similar = [each for each in others if min(each.photo_cosine, each.text_cosine) >= MIN_COSINE]
    best = max(similar, key=lambda each: each.photos_a_second, default=first)
    return best if best.photos_a_second >= MIN_SPEEDUP * first.photos_a_second else None


def _embed_photos(photos: Sequence[Path], encoder: "Encoder") -> Float32:
    """Embed up to `_MAX_PHOTOS` of the photos, evenly spread; unreadable ones are left out."""
    from clipsight.indexing.media.photo import open_picture

    chosen = np.linspace(0, len(photos) - 1, min(len(photos), _MAX_PHOTOS)).round().astype(int)
    pixels = []
    for number in chosen:
        try:
            pixels.append(encoder.preprocess(open_picture(photos[number], min_side=max(encoder.input_size))))
        except PhotoError:
            continue
    if not pixels:
        raise ModelError("no photo to compare models on can be read: name a folder of some with `photos`")
    return encoder.encode_pixels(pixels)


def _min_cosine(vectors: Float32, others: Float32) -> float:
    return float((vectors * others).sum(axis=1).min())


def _speeds(encoder: "Encoder") -> tuple[float, float]:
    """Photos per second in batches, as for indexing, and texts per second one by one, as for searches."""
    from clipsight.indexing.autotune import DEFAULT_SETTINGS, EncoderBenchmark

    started = time.perf_counter()
    for text in TEXTS:
        encoder.encode_texts([text])
    texts = len(TEXTS) / (time.perf_counter() - started)
    return 1 / EncoderBenchmark(encoder)(DEFAULT_SETTINGS).wall, texts
