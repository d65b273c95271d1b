"""Zero-shot accuracy, against the plain product of vectors."""

from pathlib import Path

import numpy as np

from clipsight import Library
from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.evaluation.zero_shot import measure_zero_shot


def test_photos_go_to_the_nearest_class(library: Library) -> None:
    encoder = library.encoder
    rng = np.random.default_rng(0)
    names = ("cat", "coffee_cup", "dog", "red_flower", "rocket", "temple")
    templates = TemplateSet("two", ("a photo of a {}.", "the {}"))
    means = np.stack([encoder.encode_texts(templates.fill(name.replace("_", " "))).mean(0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    labels = rng.integers(0, 6, 60)
    vectors = means[labels] + 0.2 * rng.standard_normal((60, encoder.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    photos = LabelledVectors(names, tuple(map(Path, map(str, range(60)))), vectors, labels)
    found = measure_zero_shot(photos, encoder, templates)
    cosines = vectors @ means.T
    assert found.accuracy == (cosines.argmax(1) == labels).mean()
    order = np.argsort(-cosines, axis=1)[:, :5]
    assert found.top5_accuracy == (order == labels[:, None]).any(1).mean()
    assert found.classes == names and 0.2 < found.accuracy < 1


def test_templates_matter(library: Library) -> None:
    encoder = library.encoder
    vectors = encoder.encode_texts(["cat", "dog"])
    photos = LabelledVectors(("cat", "dog"), (Path("a"), Path("b")), vectors, np.array([0, 1]))
    assert measure_zero_shot(photos, encoder, load_templates("plain")).accuracy == 1.0
    assert measure_zero_shot(photos, encoder, TemplateSet("swap", ("{} dog dog dog", "dog"))).accuracy < 1.0
