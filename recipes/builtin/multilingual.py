"""The multilingual stages: texts are chosen, embedded by the English model, and taught to the student."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from .data import Photo
from .distil import CAPTIONED, DistilConfig, Distiller, Lessons
from .e5 import E5
from .everyday import LABELLED, NAMED
from .languages import captions_in
from .lessons import PHOTO_OF, Texts
from .metrics import percent_recall
from .states import Tokens, TokenStates, encode
from .student import LAYERS, Student, student_tower
from .vocabulary import SIZE, Vocabulary, cut_vocabulary

_LONGEST = 64
"""Tokens of a text in training; longer ones are cut."""


@dataclass(frozen=True)
class MultilingualTower:
    """The text tower and its vocabulary."""

    student: Student
    vocabulary: Vocabulary

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit float[texts,width]."""
        tokenizer = self.vocabulary.tokenizer()
        return encode(self.student.eval(), tokens_of(tokenizer, texts))


def new_tower(
    e5: E5,
    texts: Sequence[str],
    width: int,
    size: int = SIZE,
    layers: int = LAYERS,
    frozen: int | None = None,
) -> MultilingualTower:
    """The tower before training, with a vocabulary for `texts`."""
    vocabulary = cut_vocabulary(e5, texts, size)
    torch.manual_seed(0)
    tower = student_tower(e5, vocabulary, range(layers))
    return MultilingualTower(
        Student(tower, width) if frozen is None else Student(tower, width, frozen), vocabulary
    )


def teach(
    tower: MultilingualTower,
    chosen: Texts,
    teacher: Tensor,
    photos: Sequence[Photo],
    images: Tensor,
    config: DistilConfig,
    work: Path,
    log: Callable[[str], None],
) -> None:
    """Train the tower. `teacher` are the embeddings of the English texts, unit float[english,width], `images`
    those of the photos that have captions in `chosen`, of which the others' rows are not read.
    """
    student = tower.student
    rows = tokens_of(tower.vocabulary.tokenizer(), chosen.texts)
    states = TokenStates(rows, student.tower.shape.width, work)
    states.fill(student, log)
    train = [i for i, captions in enumerate(chosen.captions) if captions]
    _, labels = np.unique([photos[i].label for i in train], return_inverse=True)
    labels_of = {photos[i].label.lower() for i in train if photos[i].source in (*LABELLED, *NAMED)}
    asked = labels_of | {PHOTO_OF["en"].format(label) for label in labels_of}
    named = {row for row in range(chosen.english) if chosen.texts[row].lower() in asked}
    lessons = Lessons(
        states,
        teacher,
        _by_language((language, (text, english)) for language, text, english in chosen.pairs),
        _by_language((language, (text, row)) for language, text, row in chosen.pairs if row in named),
        [_by_language(chosen.captions[i]) for i in train],
        images[train],
        labels,
        [group_of(photos[i]) for i in train],
    )
    Distiller(student, lessons, config, log).run(work / "student.pt")


def _by_language(rows: Iterable[tuple[str, int | tuple[int, int]]]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, list[int | tuple[int, int]]] = {}
    for language, value in rows:
        found.setdefault(language, []).append(value)
    return {language: np.array(values, np.int64) for language, values in found.items()}


def group_of(photo: Photo) -> str:
    """Group of a photo, as in `distil.GROUPS`."""
    if photo.source in ("flickr", "coco"):
        return CAPTIONED
    return "everyday" if photo.source in (*LABELLED, *NAMED) else "other"


def tokens_of(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Tokens]:
    """Token ids of each text, with the special tokens, not padded."""
    tokenizer.enable_truncation(_LONGEST)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def dev_recall(
    tower: MultilingualTower, data: Path, photos: Sequence[Photo], images: Tensor, language: str
) -> list[float] | None:
    """Recall at 1, 5 and 10 of the dev split's Flickr8k photos by captions in `language`.

    `images` are the embeddings of all photos, unit float[photos,width]; None without captions.
    """
    dev = [i for i, photo in enumerate(photos) if photo.split == "dev" and photo.source == "flickr"]
    written = {} if language == "en" else captions_in(data, language)
    captions = [photos[i].captions if language == "en" else written.get(photos[i].path, ()) for i in dev]
    owner = [k for k, each in enumerate(captions) for _ in each]
    if not owner:
        return None
    found = tower.embed([text for each in captions for text in each])
    return percent_recall(F.normalize(images[dev], dim=1).numpy(), found.numpy(), owner)["text_to_image"]
