"""The calibration: its arithmetic on small examples, its file, and the builtin model's own."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.errors import ModelError
from clipsight.models.encoder import Encoder
from clipsight.models.folder import CALIBRATION, ModelFolder
from clipsight.models.registry import builtin_folder
from clipsight.search.confidence import (
    FEATURES,
    SURE_DEPTH,
    Calibration,
    LogisticModel,
    Spread,
    features,
    select_sure,
)
from tests.support import arrays

Floats = npt.NDArray[np.float32]

DIM = 4


def unit(vectors: npt.ArrayLike) -> Floats:
    return arrays.unit(np.asarray(vectors, np.float64)).astype(np.float32)


def random_units(count: int, seed: int = 0) -> Floats:
    return unit(np.random.default_rng(seed).standard_normal((count, DIM)))


def logistic(cosine: float = 0.0, intercept: float = 0.0, count_weight: float = 0.0) -> LogisticModel:
    return LogisticModel(np.array([cosine, 0, 0, 0, 0.0]), np.zeros(DIM), intercept, count_weight)


def calibration(
    sure: LogisticModel, unknown: LogisticModel, threshold: float = 0.5, relaxation: float = 0.0
) -> Calibration:
    photos, texts = Spread.of(random_units(50, 1)), Spread.of(random_units(50, 2))
    return Calibration(photos, texts, sure, unknown, threshold, relaxation, ("en", "zh"), {"sure": {"en": 1}})


def test_a_spread_gives_mean_and_deviation_of_cosines() -> None:
    vectors, others = random_units(40), random_units(3, 9)
    mean, deviation = Spread.of(vectors).cosines_of(others)
    cosines = others @ vectors.T
    assert mean == pytest.approx(cosines.mean(axis=1), abs=1e-5)
    assert deviation == pytest.approx(cosines.std(axis=1), abs=1e-4)


def test_features_are_cosine_levels_and_deviations() -> None:
    sample, things, photos, texts = (random_units(count, count) for count in (30, 20, 3, 2))
    found = features(Spread.of(sample), Spread.of(things), photos, texts, np.array([2, 0]), np.array([1, 1]))
    assert found.shape == (2, len(FEATURES))
    of_text, of_photo = sample @ texts[1], photos[2] @ things.T
    cosine = float(photos[2] @ texts[1])
    expected = [
        cosine,
        (cosine - of_text.mean()) / of_text.std(),
        (cosine - of_photo.mean()) / of_photo.std(),
        of_text.std(),
        (things @ texts[1]).std(),
    ]
    assert found[0] == pytest.approx(expected, abs=1e-3)


def test_equal_vectors_give_finite_features() -> None:
    same = Spread.of(np.ones((4, DIM), np.float32) / 2)
    pairs = np.zeros(1, np.int64)
    assert np.isfinite(features(same, same, random_units(1), random_units(1), pairs, pairs)).all()


def test_log_odds_are_linear_in_features_and_text_vector() -> None:
    text_weights = np.array([1.0, -2.0, 0.5, 3.0])
    sure = LogisticModel(np.array([2.0, 0, 0, 0, 0]), text_weights, -1.0)
    photos, texts = random_units(3), random_units(2, 5)
    found = calibration(sure, logistic()).odds(sure, photos, texts)
    assert found == pytest.approx(2 * photos @ texts.T + texts @ text_weights - 1, abs=1e-5)


@pytest.mark.parametrize(
    ("probabilities", "relaxation", "kept"),
    [
        ([0.9, 0.5, 0.49, 0.1], 0.0, [True, True, False, False]),
        ([0.3, 0.26, 0.2, 0.1], 1.0, [True, False, False, False]),  # 0.25 at first, then 0.5 / 1.7 = 0.29
        ([0.26, 0.3, 0.2, 0.1], 1.0, [False, True, False, False]),  # the most probable first, not the best
        ([0.24, 0.2, 0.1, 0.1], 1.0, [False] * 4),
        ([0.95, 0.4, 0.3, 0.2], 1.0, [True, False, False, False]),  # 0.5 / 1.05 = 0.48
    ],
)
def test_the_threshold_is_lower_while_no_kept_photo_is_likely_right(
    probabilities: list[float], relaxation: float, kept: list[bool]
) -> None:
    assert select_sure(np.array([probabilities]), 0.5, relaxation)[0].tolist() == kept


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.05, 1), st.floats(0, 5))
def test_sure_photos_do_not_depend_on_the_length_of_the_result(
    probabilities: list[float], threshold: float, relaxation: float
) -> None:
    every = select_sure(np.array([probabilities]), threshold, relaxation)[0]
    first = select_sure(np.array([probabilities[:SURE_DEPTH]]), threshold, relaxation)[0]
    assert every[:SURE_DEPTH].tolist() == first.tolist()
    assert all(each >= threshold for each in np.array(probabilities)[SURE_DEPTH:][every[SURE_DEPTH:]])
    assert (every | ~(np.array(probabilities) >= threshold)).all()  # what is probable enough is kept


def test_is_sure_decides_by_the_probability_of_each_photo() -> None:
    query = unit([1, 0, 0, 0])
    photos = unit([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]])
    sure = calibration(logistic(cosine=10, intercept=-5), logistic()).is_sure(photos, query)
    assert sure.tolist() == [True, True, False]
    assert calibration(logistic(), logistic()).is_sure(np.empty((0, DIM), np.float32), query).shape == (0,)


def test_unknown_depends_on_the_best_label_and_the_number_of_labels() -> None:
    labels = unit([[1, 0, 0, 0], [0, 1, 0, 0]])
    photos = unit([[1.0, 0.1, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    found = calibration(logistic(), logistic(cosine=20, intercept=-10, count_weight=-0.5)).none_fits(
        photos, labels
    )
    cosines = (photos @ labels.T).max(axis=1)
    odds = 20 * cosines - 10 - 0.5 * math.log(2)
    assert found.dtype == np.float32
    assert found == pytest.approx(1 / (1 + np.exp(odds)), abs=1e-4)
    assert calibration(logistic(), logistic()).none_fits(np.empty((0, DIM), np.float32), labels).shape == (0,)


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    sure = LogisticModel(np.arange(5.0), np.arange(4.0), -3.5)
    written = calibration(sure, logistic(1, 2, -0.25), 0.65, 3.5)
    written.write(tmp_path)
    found = Calibration.read(tmp_path, "toy")
    photos, query = random_units(30, 3), random_units(1, 4)[0]
    expected = written.odds(sure, photos, query[None])
    assert found.odds(found.sure, photos, query[None]) == pytest.approx(expected)
    assert (found.threshold, found.relaxation, found.languages) == (0.65, 3.5, ("en", "zh"))
    assert (found.unknown.intercept, found.unknown.count_weight) == (2, -0.25)
    assert found.figures == {"sure": {"en": 1}}


def test_a_model_without_a_calibration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the model toy is not calibrated.*min_score"):
        Calibration.read(tmp_path, "toy")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_a_damaged_calibration_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CALIBRATION).write_bytes(content)
    with pytest.raises(ModelError, match=r"calibration\.npz can't be read"):
        Calibration.read(tmp_path, "toy")


def test_a_calibration_of_another_format_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / CALIBRATION, about=np.array('{"format": 99}'))
    with pytest.raises(ModelError, match="another version"):
        Calibration.read(tmp_path, "toy")


@pytest.mark.parametrize(
    ("languages", "text", "covered"),
    [
        (("en",), "dog", True),
        (("en",), "Straße 16:9!", True),  # letters of other languages with the same script
        (("en",), "猫", False),
        (("zh",), "猫", True),
        (("ja",), "猫", True),
        (("zh",), "ねこ", False),
        (("en",), "собака", False),
        (("ru",), "собака", True),
        (("en",), "dog 犬", False),
        ((), "dog", False),
        (("en",), "ᚠ", False),
    ],
)
def test_a_text_is_covered_by_languages_of_its_scripts(
    languages: tuple[str, ...], text: str, covered: bool
) -> None:
    base = calibration(logistic(), logistic())
    assert (
        Calibration(base.photos, base.texts, base.sure, base.unknown, 0.5, 0, languages).covers(text)
        == covered
    )


@pytest.fixture(scope="module")
def eight() -> tuple[Encoder, dict[str, Floats], Calibration]:
    """The builtin model and the eight sample photos: the smallest of libraries."""
    from PIL import Image

    from tests.support.samples import SAMPLES

    encoder = Encoder(ModelFolder.read(builtin_folder()), threads=1)
    pictures = {name: Image.open(path).convert("RGB") for name, path in SAMPLES.items()}
    vectors = dict(zip(pictures, encoder.encode_images(list(pictures.values())), strict=True))
    return encoder, vectors, Calibration.read(encoder.folder.path, encoder.name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "photos"),
    [
        ("cat", {"cat.png"}),
        ("a cat", {"cat.png"}),
        ("motorcycle", {"motorcycle.png"}),
        ("giraffe", set()),
        ("violin", set()),
        ("a plate of sushi", set()),
    ],
)
def test_sure_photos_of_the_eight_samples(
    eight: tuple[Encoder, dict[str, Floats], Calibration], query: str, photos: set[str]
) -> None:
    encoder, vectors, fitted = eight
    (words,) = encoder.encode_texts([query])
    names = sorted(vectors, key=lambda name: -float(vectors[name] @ words))
    kept = fitted.is_sure(np.stack([vectors[name] for name in names]), words)
    assert {name for name, sure in zip(names, kept.tolist(), strict=True) if sure} == photos


def test_unknown_photos_of_the_eight_samples(eight: tuple[Encoder, dict[str, Floats], Calibration]) -> None:
    encoder, vectors, fitted = eight
    labels = encoder.encode_texts(["a cat", "a horse"])
    none = dict(zip(vectors, fitted.none_fits(np.stack(list(vectors.values())), labels), strict=True))
    assert none["cat.png"] < 0.5
    assert none["coffee.png"] > 0.5 and none["rocket.jpg"] > 0.5


def test_the_builtin_calibration_holds_its_measured_figures(
    eight: tuple[Encoder, dict[str, Floats], Calibration],
) -> None:
    fitted = eight[2]
    assert "en" in fitted.languages
    common = fitted.figures["sure"]["en"]["nouns, 15 or more of 300 photos"]
    assert common["kept"] >= 0.9 and common["right"] >= 0.8 and common["silent"] >= 0.75
