"""From folders of photos to a probe and its report."""

from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight import probe as probes
from clipsight.classification.prompts import load_templates
from clipsight.core.errors import LabelError
from clipsight.probe.head import zero_shot_head


@pytest.mark.slow
def test_a_probe_classifies_its_training_photos(pets: Path, library: Library, tmp_path: Path) -> None:
    report = probes.fit(pets, library, repeats=2)
    assert len(library) == 0  # learning puts no photos into the user's library
    library.index(pets)
    assert report.probe.classes == ("cat", "coffee_cup")
    assert report.scores.accuracy == 1.0 and report.scores.photos == 2
    assert [point.shots for point in report.curve] == [1, 2, 4, 5, None]
    report.probe.save(tmp_path / "pets.probe")
    probe = probes.load(tmp_path / "pets.probe")
    assert probe.figures["top1"] == 1.0 and probe.settings["photos"] == 10
    assert "confusion" not in probe.figures
    predictions = list(probe.apply(library, pets))
    assert len(predictions) == 12
    assert all(each.label == each.path.parent.name and each.probability > 0.5 for each in predictions)
    whole = list(probe.apply(library))
    [single] = list(probe.apply(library, pets / "cat" / "3.png"))
    same = next(each for each in whole if each.path == single.path)
    np.testing.assert_allclose(single.probabilities, same.probabilities, atol=1e-6)
    [stored] = library.embed(single.path)
    np.testing.assert_allclose(
        single.probabilities, report.fit.head.probabilities(stored.vectors)[0], atol=1e-6
    )


@pytest.mark.slow
def test_alpha_zero_is_zero_shot(pets: Path, library: Library) -> None:
    report = probes.fit(pets, library, alpha=0, templates=load_templates("plain"))
    words = zero_shot_head(["cat", "coffee cup"], library.encoder, load_templates("plain"))
    np.testing.assert_allclose(report.probe.head.weights, words.weights, atol=1e-4)
    np.testing.assert_array_equal(report.scores.confusion_matrix, report.zero_shot.confusion_matrix)
    assert report.probe.settings["templates"] == ["{}"]


@pytest.mark.slow
def test_another_collection_to_test_on(pets: Path, library: Library, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    for name in ("cat", "coffee_cup"):
        (pets / name).rename(tmp_path / "others" / name)
        (pets / name).mkdir()
        for number in (0, 1):
            (tmp_path / "others" / name / f"{number}.png").rename(pets / name / f"{number}.png")
    report = probes.fit(pets, library, test=tmp_path / "others")
    assert (report.photos, report.scores.photos) == (4, 8)


@pytest.mark.slow
def test_invalid_collections_and_arguments_are_errors(pets: Path, library: Library) -> None:
    with pytest.raises(LabelError, match="`shots` is 9, but the class 'cat' has 5 photos"):
        probes.fit(pets, library, shots=9)
    for alpha in (-0.1, 1.5, float("nan")):
        with pytest.raises(LabelError, match=r"choose a number from 0|takes a finite number"):
            probes.fit(pets, library, alpha=alpha)


@pytest.mark.slow
def test_a_library_of_another_model_is_refused(
    pets: Path, library: Library, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.support.tiny_models import make_model_folder

    probe = probes.fit(pets, library).probe
    for name, message in (("other", "vectors of other: fit it again"), ("tiny", "tiny is another version")):
        folder = make_model_folder(tmp_path_factory.mktemp("model") / name, seed=7)
        with Library.open(tmp_path / f"library-{name}", model=str(folder)) as different:
            different.index(pets)
            with pytest.raises(LabelError, match=message):
                probe.apply(different)
