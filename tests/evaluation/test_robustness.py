"""Accuracy on one collection and on a shifted one."""

from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.prompts import load_templates
from clipsight.classification.splits import train_test_split
from clipsight.core.errors import LabelError
from clipsight.evaluation.evaluator import measure_zero_shot
from clipsight.evaluation.robustness import measure_shift

CLASSES = ("cat", "dog", "rocket")


def collection(
    library: Library, shift: float, per_class: int, classes: tuple[str, ...] = CLASSES
) -> LabelledVectors:
    """Photos near the words' own vectors; `shift` moves them all the same way."""
    rng = np.random.default_rng(per_class)
    labels = np.repeat(np.arange(len(classes)), per_class)
    vectors = library.encoder.encode_texts(list(classes))[labels]
    vectors = vectors + 0.15 * rng.standard_normal(vectors.shape) + shift * np.eye(vectors.shape[1])[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    paths = tuple(Path(f"/{number}.jpg") for number in range(len(labels)))
    return LabelledVectors(classes, paths, vectors.astype(np.float32), labels)


@pytest.mark.slow
def test_both_collections_are_evaluated_in_three_ways(library: Library) -> None:
    a, b = collection(library, 0, 40), collection(library, 0.5, 30)
    plain = load_templates("plain")
    ways = measure_shift(a, b, library.encoder, plain).shifts
    assert [way.name for way in ways] == ["zero-shot", "probe", "probe from zero-shot"]
    assert all((way.on_a.photos, way.on_b.photos) == (24, 90) for way in ways)
    _, test = train_test_split(a)
    zero_shot = ways[0]
    assert zero_shot.on_a.accuracy == measure_zero_shot(test, library.encoder, plain).accuracy
    assert zero_shot.on_b.accuracy == measure_zero_shot(b, library.encoder, plain).accuracy
    assert zero_shot.change == zero_shot.on_b.accuracy - zero_shot.on_a.accuracy
    assert all(way.on_a.accuracy > 0.7 for way in ways)
    printed = ways[1].to_dict()
    assert printed["a"]["top1"] == pytest.approx(ways[1].on_a.accuracy, abs=1e-6)
    assert list(printed) == ["a", "b", "change"]


@pytest.mark.slow
def test_the_shifted_collection_may_have_some_of_the_classes(library: Library) -> None:
    a, b = collection(library, 0, 20), collection(library, 0, 5, ("dog", "rocket"))
    ways = measure_shift(a, b, library.encoder, load_templates("plain")).shifts
    assert ways[0].on_b.confusion_matrix.sum(1).tolist() == [0, 5, 5]
    assert b.with_classes(CLASSES).labels.tolist() == [1] * 5 + [2] * 5
    with pytest.raises(LabelError, match="'cat' of the test photos"):
        measure_shift(b, a, library.encoder, load_templates("plain"))
