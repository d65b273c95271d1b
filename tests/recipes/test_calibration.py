"""The recipe that fits and measures a calibration: queries and their truth, the fit, the figures."""

from pathlib import Path

import numpy as np
import pytest

from clipsight.core.arrays import Float32, Float64
from clipsight.search.confidence import SURE_DEPTH, Calibration, Spread, features
from recipes.builtin.data import Photo
from recipes.calibration import queries
from recipes.calibration.crossfit import calibrate, lines
from recipes.calibration.data import Photos
from recipes.calibration.figures import sure_figures, unknown_figures
from recipes.calibration.fit import choose_offset, fit_logistic, logistic, odds
from recipes.calibration.pairs import Asked, Pairs
from recipes.calibration.queries import FITS, FITS_NOT, UNKNOWN, Query


def unit(vectors: Float64) -> Float32:
    rows: Float32 = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return rows


def photo(path: str, source: str, captions: tuple[str, ...] = (), label: str = "") -> Photo:
    return Photo(path=path, split="test", source=source, captions=captions, label=label)


@pytest.fixture
def album() -> Photos:
    """Three captioned photos and three of a set with labels."""
    photos = (
        photo("a", "flickr", ("Two dogs, running!", "puppies at play")),
        photo("b", "flickr", ("A man on a red bike.",)),
        photo("c", "coco", ("The old man and his dog",)),
        photo("d", "tools", label="trowel"),
        photo("e", "tools", label="trowels"),
        photo("f", "tools", label="awl"),
    )
    return Photos(photos, unit(np.eye(6, 8)))


def truth_of(album: Photos, text: str, form: str = "noun") -> list[int]:
    found = [*queries._nouns(queries.load_things(), album), *queries._labels(album)]
    (query,) = (query for query in found if (query.text, query.form) == (text, form))
    truth: list[int] = query.truth.tolist()
    return truth


@pytest.mark.slow
def test_captions_that_name_a_thing_fit_it(album: Photos) -> None:
    # Photos of tools show no dogs, but perhaps a man.
    assert truth_of(album, "dog") == truth_of(album, "a dog", "a noun") == [1, 0, 1, 0, 0, 0]
    assert truth_of(album, "man") == [0, 1, 1, -1, -1, -1]
    assert truth_of(album, "puppy")[:3] == [1, 0, 0]
    assert album.mention(["red bike"]).tolist() == [False, True, *[False] * 4]
    assert album.mention(["man", "puppies"], ["dog", "play"]).tolist() == [True, False, True, *[False] * 3]


@pytest.mark.slow
def test_photos_of_another_label_do_not_fit_and_of_a_like_one_nobody_can_tell(album: Photos) -> None:
    assert truth_of(album, "trowel")[3:] == [FITS, UNKNOWN, FITS_NOT]
    assert truth_of(album, "awl")[3:] == [FITS_NOT, FITS_NOT, FITS]
    assert truth_of(album, "trowel")[:3] == [FITS_NOT] * 3


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("dog", "dogs"),
        ("berry", "berries"),
        ("boy", "boys"),
        ("bus", "buses"),
        ("beach", "beaches"),
        ("knife", "knives"),
    ],
)
def test_plural(noun: str, plural: str) -> None:
    assert queries.plural(noun) == plural


def pairs_of(truth: list[list[int]], fitting: list[int], features: Float64 | None = None) -> Pairs:
    """Best photos of some queries in one library of captioned photos: `truth[query][rank]`."""
    number, seen = len(truth), len(truth[0])
    query = np.repeat(np.arange(number), seen)
    return Pairs(
        np.zeros((len(query), 5)) if features is None else features,
        np.arange(len(query)),
        query,
        np.zeros(len(query), np.int64),
        np.full(len(query), "captioned"),
        np.array(truth, np.int8).ravel(),
        np.repeat(fitting, seen),
        np.ones(len(query), np.int64),
    )


def asked_of(count: int, dim: int = 8) -> Asked:
    nothing = np.zeros(0, np.int8)
    vectors = unit(np.random.default_rng(0).standard_normal((count, dim)))
    return Asked(tuple(Query(f"q{i}", "noun", f"thing {i}", nothing) for i in range(count)), vectors)


def test_figures_of_sure() -> None:
    # Two answerable queries, of which one keeps a right and a wrong photo and one nothing; one of two
    # unanswerable ones keeps a photo.
    pairs = pairs_of([[1, 0], [0, 1], [0, 0], [0, 0]], [20, 20, 0, 0])
    probabilities = np.array([0.9, 0.8, 0.1, 0.1, 0.7, 0.1, 0.1, 0.1])
    found = sure_figures(pairs, probabilities, asked_of(4), 0.5, 0.0)
    assert (found.answerable, found.plain, found.kept, found.right) == (2, 1.0, 0.5, 0.5)
    assert (found.unanswerable, found.silent) == (2, 0.5)
    relaxed = sure_figures(
        pairs, probabilities, asked_of(4), 0.5, 5.0
    )  # 0.1 >= 0.5 / 6 while nothing is kept
    assert relaxed.kept == 1.0 and relaxed.silent == 0.0
    assert sure_figures(pairs, probabilities, asked_of(4), 0.5, 0.0, fitting=(1, 4)).answerable == 0


def test_figures_of_unknown() -> None:
    pairs = pairs_of([[1], [1], [0], [0], [0]], [1, 1, 1, 0, 0])
    found = unknown_figures(pairs, np.array([True, False, True, True, False]), ("captioned",))
    assert (found.photos, found.strangers, found.refused) == (3, 2, 0.5)
    assert (found.accuracy, found.with_unknown) == pytest.approx((2 / 3, 1 / 3))


def test_the_offset_accepts_the_share_that_it_aims_at() -> None:
    pairs = pairs_of([[1]] * 100, [1] * 100)
    log_odds = np.random.default_rng(0).permutation(np.arange(100.0)) - 70
    assert ((log_odds + choose_offset(pairs, log_odds, 0.95)) >= 0).mean() == pytest.approx(0.95, abs=0.011)


def test_a_fitted_regression_separates_pairs_and_agrees_with_the_calibration() -> None:
    random = np.random.default_rng(1)
    photos, asked = unit(random.standard_normal((40, 8))), asked_of(30)
    spreads = Spread.of(photos), Spread.of(asked.vectors)
    cosines = photos @ asked.vectors.T
    rows, columns = np.indices(cosines.shape).reshape(2, -1)
    pairs = Pairs(
        features(*spreads, photos, asked.vectors, rows, columns),
        rows,
        columns,
        np.zeros(len(rows), np.int64),
        np.full(len(rows), "captioned"),
        (cosines.ravel() > 0.4).astype(np.int8),
        np.ones(len(rows), np.int64),
        np.ones(len(rows), np.int64),
    )
    regression = fit_logistic(pairs, asked, np.ones(len(pairs)), with_count=False)
    found = odds(regression, pairs, asked)
    assert ((found > 0) == (pairs.truth == FITS)).mean() > 0.97
    calibration = Calibration(*spreads, regression, regression, 0.5, 0.0, ("en",))
    np.testing.assert_allclose(calibration.odds(regression, photos, asked.vectors).ravel(), found, rtol=1e-6)
    assert logistic(np.array([-800.0, 0.0, 800.0])).tolist() == [0.0, 0.5, 1.0]


def things(count: int, each: int, dim: int = 32) -> tuple[Photos, Asked]:
    """Photos of `count` things, `each` of each, near their text's vector; a tenth of the things has none."""
    random = np.random.default_rng(2)
    texts = unit(random.standard_normal((count, dim)))
    shown = [thing for thing in range(count) if thing % 10]
    which = np.repeat(shown, each)
    vectors = unit(texts[which] + 0.4 * unit(random.standard_normal((len(which), dim))))
    photos = tuple(photo(f"{i}.jpg", "flickr", (f"thing{thing}",)) for i, thing in enumerate(which))
    found = tuple(
        Query(f"thing{thing}", form, f"thing{thing}", (which == thing).astype(np.int8))
        for thing in range(count)
        for form in queries.FORMS
    )
    return Photos(photos, vectors), Asked(found, np.repeat(texts, len(queries.FORMS), axis=0))


@pytest.mark.slow
def test_queries_that_can_be_told_apart_reach_all_goals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, asked = things(60, 40)
    subject = [queries.Thing(query.thing, (query.thing,), True, True, True, False) for query in asked.queries]
    monkeypatch.setattr("recipes.calibration.pairs.load_things", lambda: subject)
    monkeypatch.setattr("recipes.calibration.pairs._TASKS", 40)
    monkeypatch.setattr("recipes.calibration.figures.COMMON", 3)
    calibration = calibrate(photos, asked, lambda line: None)
    table = calibration.figures["sure"]["en"]["nouns, 5 to 14 of 300 photos"]
    assert table["kept"] >= 0.9 and table["right"] >= 0.8 and table["silent"] >= 0.75
    unknown = calibration.figures["unknown"]["captioned"]
    assert unknown["accuracy"] - unknown["with_unknown"] <= 0.1 and unknown["refused"] >= 0.75
    calibration.write(tmp_path)
    kept = Calibration.read(tmp_path, "m")
    assert (
        kept.threshold == calibration.threshold and kept.figures["unknown"] == calibration.figures["unknown"]
    )
    assert any("print nothing" in line for line in lines(kept.figures))
    best = photos.vectors[np.argsort(-(photos.vectors @ asked.vectors[5]))[:SURE_DEPTH]]
    assert kept.is_sure(best, asked.vectors[5]).any()
