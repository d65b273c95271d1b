"""Comparing templates: stratified halves, a greedy search for combinations, exact accuracies."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library
from clipsight.classification.dataset import LabelledVectors, read_labelled
from clipsight.classification.prompt_selection import forward_selection, select_templates
from clipsight.classification.prompts import TemplateSet
from clipsight.classification.splits import split_halves
from clipsight.probe.embedding import embed_labelled
from tests.support.samples import SAMPLES


def test_templates_are_added_while_accuracy_increases() -> None:
    # Each template is a letter; a combination is worth what its letters are worth together.
    worth = {"a": 0.5, "b": 0.6, "c": 0.6, "bc": 0.6, "ab": 0.7, "abc": 0.7}
    letters = np.eye(3, dtype=np.float32)[:, None, :]

    def measure(combined: np.ndarray) -> float:
        return worth.get(
            "".join(letter for letter, share in zip("abc", combined[0], strict=True) if share > 0), 0
        )

    assert forward_selection(letters, measure) == [1, 0]
    assert forward_selection(letters, lambda combined: 1.0) == [0]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Photos of two kinds, eight each: cat and coffee, cut differently."""
    for name, label in (("cat.png", "a_cat"), ("coffee.png", "coffee")):
        (tmp_path / "pets" / label).mkdir(parents=True)
        with Image.open(SAMPLES[name]) as photo:
            for number in range(8):
                cut = photo.crop((10 * number, 0, 200 + 10 * number, 200))
                cut.save(tmp_path / "pets" / label / f"{number}.png")
    return tmp_path / "pets"


@pytest.mark.slow
def test_each_template_is_measured_on_both_halves(library: Library, pets: Path) -> None:
    photos = embed_labelled(read_labelled(pets), library)
    templates = ("{}", "a photo of {}", "{}", "the dog beside {}")
    seen: list[str] = []

    def track(templates: object) -> object:
        for template in templates:  # type: ignore[attr-defined]
            seen.append(template)
            yield template

    found = select_templates(photos, TemplateSet("x", templates), library.encoder, track=track)  # type: ignore[arg-type]
    assert seen == ["{}", "a photo of {}", "the dog beside {}"] and len(found.templates) == 3
    assert found.photos == (8, 8) and found.classes == ("a_cat", "coffee") and found.model == "tiny"
    first, second = split_halves(photos)
    for template, accuracy in found.templates:
        texts = [template.replace("{}", name) for name in ("a cat", "coffee")]
        weights = library.encoder.encode_texts(texts)
        for half, figure in ((first, accuracy.choosing), (second, accuracy.held_out)):
            assert figure == ((half.vectors @ weights.T).argmax(axis=1) == half.labels).mean()
    assert [a.choosing for _, a in found.templates] == sorted(
        (a.choosing for _, a in found.templates), reverse=True
    )
    assert found.chosen_together.choosing >= found.templates[0][1].choosing
    assert set(found.chosen) <= set(templates)
    as_dict = found.to_dict()
    assert as_dict["chosen"]["templates"] == list(found.chosen) and len(as_dict["templates"]) == 3


@pytest.mark.slow
def test_a_combination_can_beat_each_template(library: Library) -> None:
    """Two templates that are each wrong on one class, right together: found, and right on the other half."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    centres = library.encoder.encode_texts(["a cat", "a dog"])
    vectors = centres[labels] + 0.02 * random.standard_normal((80, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    photos = LabelledVectors(("cat", "dog"), tuple(Path(f"{n}.jpg") for n in range(80)), vectors, labels)
    found = select_templates(photos, TemplateSet("x", ("a {}", "{} on the moon")), library.encoder)
    assert found.chosen[0] == "a {}" and found.chosen_together.held_out == 1.0
