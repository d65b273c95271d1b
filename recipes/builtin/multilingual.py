"""The multilingual stage: teach the text tower, and write a model folder that joins ConSE and captions.

It starts from the English model that the first stages trained. Finished parts are kept under the work folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .data import Photo
from .distil import DistilConfig, Distiller, Lessons, Student, encode, pad
from .e5 import E5
from .export_joint import joint_visual_graph, write_joint_folder
from .languages import PROMISED
from .lessons import build_lessons, photo_captions, taught_pairs
from .licences import Choice, allowed
from .metrics import percent_recall
from .student import student_tower
from .teacher import Teacher
from .vocabulary import SIZE, Vocabulary, cut_vocabulary

LAYERS = (0, 1, 2, 3, 4, 5)
"""Layers kept of the published twelve, to be trained; more cost time at each query."""

_FIRST_FIT = 20_000
"""English texts from which the linear map starts."""


@dataclass(frozen=True)
class Sources:
    """What the stage reads."""

    data: Path
    photos: Sequence[Photo]
    choice: Choice = "all"

    def training(self) -> list[int]:
        """Indices of the photos to train on."""
        return [i for i, p in enumerate(self.photos) if p.split == "train" and allowed(p.source, self.choice)]


@dataclass(frozen=True)
class Tower:
    """The multilingual tower before training, and its vocabulary."""

    student: Student
    vocabulary: Vocabulary
    lessons: Lessons


def prepare(
    sources: Sources,
    teacher: Teacher,
    views: Sequence[NDArray[np.float32]],
    e5: E5,
    config: DistilConfig,
    size: int = SIZE,
    layers: Sequence[int] = LAYERS,
) -> Tower:
    """Choose the vocabulary and write the lessons; `views` are the pooled features of all photos."""
    train = sources.training()
    photos = [sources.photos[i] for i in train]
    pairs = taught_pairs(sources.data, sources.photos, sources.choice)
    captions = photo_captions(sources.data, photos, sources.choice)
    kept = {"en", "zh-Hant", *PROMISED}
    texts = [pair.translation for pair in pairs if pair.language in kept]
    texts += [caption for each in captions for found in each.values() for caption in found]
    vocabulary = cut_vocabulary(e5, texts, size)
    _, labels = np.unique([photo.label for photo in photos], return_inverse=True)
    embedded = [teacher.photos(torch.from_numpy(np.asarray(view[train]))) for view in views]
    lessons = build_lessons(pairs, captions, embedded, labels, vocabulary.tokenizer(), teacher.texts)
    student = Student(student_tower(e5, vocabulary, layers), teacher.parts, config.hidden)
    return Tower(student, vocabulary, lessons)


def teach(tower: Tower, config: DistilConfig, checkpoint: Path, log: Callable[[str], None]) -> None:
    """Train the student, from the regression of the teacher's embeddings or a checkpoint."""
    english, rows = tower.lessons.texts["en"], tower.lessons.targets["en"]
    chosen = np.random.default_rng(0).permutation(len(english))[:_FIRST_FIT]
    chosen = np.array(sorted(chosen, key=lambda i: len(english[i])))
    targets = torch.from_numpy(tower.lessons.teacher[rows[chosen]]).float()
    with torch.no_grad():
        pooled = torch.cat(
            [
                tower.student.pooled(pad([english[i] for i in part], tower.student.tower.shape.pad_id))
                for part in np.array_split(chosen, max(1, len(chosen) // 256))
            ]
        )
    tower.student.fit_linear(pooled, targets)
    Distiller(tower.student, tower.lessons, config, log).run(checkpoint)


def dev_recall(
    tower: Tower, sources: Sources, images: NDArray[np.float32], language: str
) -> list[float] | None:
    """Recall at 1, 5 and 10 of the dev split's Flickr8k photos by captions in `language`.

    `images` are the embeddings of all photos, float32[photos,width]; None without captions.
    """
    dev = [i for i, p in enumerate(sources.photos) if p.split == "dev" and p.source == "flickr"]
    captions = photo_captions(sources.data, [sources.photos[i] for i in dev], sources.choice)
    owner = [k for k, each in enumerate(captions) for _ in each.get(language, ())]
    texts = [caption for each in captions for caption in each.get(language, ())]
    if not texts:
        return None
    rows = [encoding.ids for encoding in tower.vocabulary.tokenizer().encode_batch(texts)]
    with torch.no_grad():
        found = encode(tower.student.eval(), rows).numpy()
    return percent_recall(images[dev], found, owner)["text_to_image"]


def write(folder: Path, teacher: Teacher, tower: Tower, about: dict[str, object]) -> None:
    """Write the model folder."""
    visual = joint_visual_graph(teacher.model, teacher.classes, teacher.parts)
    write_joint_folder(folder, visual, tower.student, tower.vocabulary, about)
