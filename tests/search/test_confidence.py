"""The calibration: what it must do whatever the model, and that it tells real photos apart."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.search import confidence
from clipsight.search.confidence import BACKGROUND, SURE, Calibration

Floats = npt.NDArray[np.float32]

MEANING_NOTHING = Calibration(mean=0.1, deviation=0.1)


def unit(wide: npt.NDArray[np.float64]) -> Floats:
    return (wide / np.linalg.norm(wide, axis=-1, keepdims=True)).astype(np.float32)


def around(direction: npt.NDArray[np.float64], count: int, spread: float, seed: int) -> Floats:
    """Unit vectors near a direction."""
    noise = np.random.default_rng(seed).standard_normal((count, len(direction)))
    return unit(direction / np.linalg.norm(direction) + spread * noise / math.sqrt(len(direction)))


def test_calibration_is_mean_and_deviation_of_cosines_with_the_background() -> None:
    photos, background = np.eye(3, dtype=np.float16)[:2], np.array([[1, 0, 0], [0.6, 0.8, 0]], np.float32)
    found = Calibration.of(photos, background)
    cosines = [1, 0.6, 0, 0.8]
    assert found.mean == pytest.approx(np.mean(cosines), rel=1e-3)
    assert found.deviation == pytest.approx(np.std(cosines), rel=1e-3)


def test_probability_is_the_logistic_of_the_level() -> None:
    cosines = np.array([[0.1, 0.5], [-0.9, 0.9]], np.float32)
    found = MEANING_NOTHING.probability(cosines, 7)
    assert found.dtype == np.float32 and found.shape == (2, 2)
    odds = confidence.SLOPE * (cosines - 0.1) / 0.1 - confidence.CROWD * math.log(7) + confidence.OFFSET
    assert found == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)


@given(
    mean=st.floats(-0.5, 0.5),
    deviation=st.floats(0.001, 0.5),
    cosine=st.floats(-1, 1),
    more=st.floats(0, 0.5),
    crowd=st.integers(1, 10**7),
)
def test_higher_cosines_are_surer_and_more_alternatives_less(
    mean: float, deviation: float, cosine: float, more: float, crowd: int
) -> None:
    calibration = Calibration(mean, deviation)
    low, high = calibration.probability(np.array([cosine, cosine + more]), crowd)
    assert 0 <= low <= high <= 1
    assert calibration.probability(np.array([cosine]), crowd + 1)[0] <= low
    assert calibration.least_score(crowd) < calibration.least_score(2 * crowd)


@given(mean=st.floats(-0.5, 0.5), deviation=st.floats(0.01, 0.5), photos=st.integers(1, 10**7))
def test_what_is_sure_begins_at_its_score(mean: float, deviation: float, photos: int) -> None:
    calibration = Calibration(mean, deviation)
    score = calibration.least_score(photos)
    below, above = calibration.probability(np.array([score - 1e-4, score + 1e-4]), photos)
    assert below < SURE < above


@given(scale=st.floats(0.05, 1), shift=st.floats(-0.4, 0.4), seed=st.integers(0, 99))
def test_the_scale_of_a_model_does_not_matter(scale: float, shift: float, seed: int) -> None:
    """Models differ in how high their cosines are; what counts is how they compare with the background's."""
    random = np.random.default_rng(seed)
    cosines = random.uniform(0, 0.6, (5, 3))
    plain = Calibration(0.1, 0.1).none_fits(cosines)
    other = Calibration(0.1 * scale + shift, 0.1 * scale).none_fits(cosines * scale + shift)
    assert other == pytest.approx(plain, abs=1e-4)


def test_none_judges_the_best_label() -> None:
    cosines = np.array([[0.9, 0.0, 0.1], [0.05, 0.1, 0.0]], np.float32)
    known, unknown = MEANING_NOTHING.none_fits(cosines)
    assert known < 0.01 and unknown > 0.99
    assert MEANING_NOTHING.none_fits(np.empty((0, 3), np.float32)).shape == (0,)


def test_photos_that_are_all_alike_divide_by_nothing() -> None:
    same = np.ones((4, 8), np.float32) / np.sqrt(8)
    calibration = Calibration.of(same, same)
    assert np.isfinite(calibration.none_fits(np.array([[1.0, 0.5]]))).all()
    assert math.isfinite(calibration.least_score(4))


def test_photos_near_a_label_are_known_and_all_others_not() -> None:
    random = np.random.default_rng(0)
    directions = random.standard_normal((60, 64))
    background = around(directions[0], 1, 0, 0)
    background = unit(np.concatenate([background, directions[1:40]]))
    labels = unit(directions[50:53])
    photos = np.concatenate(
        [around(directions[index], 20, 1.0, index) for index in (50, 51, 52, 10, 20, 55)]  # 55: of no prompt
    )
    none = Calibration.of(photos, background).none_fits(photos @ labels.T)
    assert (none[:60] < 0.5).mean() > 0.95
    assert (none[60:] > 0.5).all()


def test_background_prompts_are_many_and_different() -> None:
    assert len(set(BACKGROUND)) == len(BACKGROUND) > 50
    assert all(prompt == prompt.strip() and prompt for prompt in BACKGROUND)


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, dict[str, Floats], Calibration]:
    """The builtin model and the eight sample photos: the smallest of libraries."""
    from PIL import Image

    import clipsight
    from tests.support.samples import SAMPLES

    folder = ModelFolder.read(Path(clipsight.__file__).parent / "models" / "builtin")
    encoder = Encoder(folder, threads=1)
    pictures = {name: Image.open(path).convert("RGB") for name, path in SAMPLES.items()}
    vectors = dict(zip(pictures, encoder.encode_images(list(pictures.values())), strict=True))
    background = encoder.encode_texts(BACKGROUND)
    return encoder, vectors, Calibration.of(np.stack(list(vectors.values())), background)


@pytest.mark.parametrize(
    ("query", "photos"),
    [
        ("a cat", {"cat.png"}),
        ("a motorcycle", {"motorcycle.png"}),
        ("a zebra", set()),
        ("a plate of sushi", set()),
        ("people skiing down a mountain", set()),
        ("a wedding cake", set()),
    ],
)
def test_sure_of_eight_photos(
    eight: tuple[Encoder, dict[str, Floats], Calibration], query: str, photos: set[str]
) -> None:
    encoder, vectors, calibration = eight
    (words,) = encoder.encode_texts([query])
    least = calibration.least_score(len(vectors))
    assert {name for name, vector in vectors.items() if float(vector @ words) >= least} == photos


def test_unknown_of_eight_photos(eight: tuple[Encoder, dict[str, Floats], Calibration]) -> None:
    encoder, vectors, calibration = eight
    labels = encoder.encode_texts(["a cat", "a dog"])
    none = dict(zip(vectors, calibration.none_fits(np.stack(list(vectors.values())) @ labels.T), strict=True))
    assert {name for name, chance in none.items() if chance < 0.5} == {"cat.png"}
