"""Evaluation: zero-shot accuracy against the plain product of vectors, and a result for each way."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library
from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.core.errors import LabelError
from clipsight.evaluation import LinearProbe, Robustness, ZeroShot, compare_templates, evaluate
from clipsight.evaluation.evaluator import measure_zero_shot
from tests.support.samples import SAMPLES


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


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of two real photos, crops of the same."""
    for name, label in (("cat.png", "cat"), ("coffee.png", "coffee_cup")):
        (tmp_path / "pets" / label).mkdir(parents=True)
        with Image.open(SAMPLES[name]) as photo:
            for number in range(2):
                photo.crop((10 * number, 0, 200, 200)).save(tmp_path / "pets" / label / f"{number}.png")
    return tmp_path / "pets"


@pytest.mark.slow
def test_each_way_of_evaluation_has_its_result(pets: Path, tiny_model: Path) -> None:
    model = str(tiny_model)
    found = evaluate(model, zeroshot=pets, templates=load_templates("plain"))
    assert isinstance(found, ZeroShot)
    assert (found.model, found.metrics.photos, found.templates.name) == ("tiny", 4, "plain")
    assert list(found.to_dict())[:2] == ["model", "templates"]
    probed = evaluate(model, linear_probe=pets)
    assert isinstance(probed, LinearProbe) and probed.report.scores.photos == 2
    shifted = evaluate(model, shift=(pets, pets))
    assert isinstance(shifted, Robustness) and shifted.shifts[0].on_b.photos == 4


def test_exactly_one_collection_is_evaluated(pets: Path, tiny_model: Path) -> None:
    for sources in ({}, {"zeroshot": pets, "linear_probe": pets}):
        with pytest.raises(LabelError, match="choose one of `retrieval`"):
            evaluate(str(tiny_model), **sources)  # type: ignore[arg-type]


@pytest.mark.slow
def test_templates_are_compared_on_a_folder(pets: Path, library: Library) -> None:
    (pets / "cat" / "letter.jpg").write_text("Dear Sir or Madam")
    found = compare_templates(pets, library, load_templates("plain", ("a photo of a {}.",)))
    assert {template for template, _ in found.templates} == {"{}", "a photo of a {}."}
    assert [path.name for path, _ in found.failures] == ["letter.jpg"]
