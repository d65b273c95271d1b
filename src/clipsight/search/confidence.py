"""Probability that a photo shows what a text says: the calibration of `sure` and `unknown`.

Cosines of different texts can't be compared: with the builtin model a photo of a man has a cosine of 0.27
with
"man", and a photo without a violin one of 0.4 with "violin". A logistic regression therefore computes the
probability from these features of a pair of photo and text:

- the cosine;
- the cosine's z-score among photos of all kinds (same text);
- the cosine's z-score among texts that people search for (same photo);
- the standard deviations of the text's cosines with these photos and with these texts;
- the text's vector, since texts with similar meaning have similar cosines with the photos they fit.

Means and standard deviations of cosines are computed from the mean and covariance of unit vectors (`Spread`),
without a search. A model's calibration is in its folder; `python -m recipes.calibration` fits and evaluates
it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from clipsight.core.arrays import Bool, Float, Float32, Float64, Int64
from clipsight.core.errors import ModelError
from clipsight.core.files import atomic_write
from clipsight.core.scripts import languages_with
from clipsight.models.folder import CALIBRATION

FORMAT = 1

SURE_DEPTH = 10
"""Best photos of a query that `sure` examines together."""

FEATURES = ("cosine", "among_photos", "among_texts", "deviation_of_photos", "deviation_of_texts")

_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Spread:
    """Mean and covariance of unit vectors: float32[dim] and float32[dim, dim]."""

    mean: Float32
    covariance: Float32

    @classmethod
    def of(cls, vectors: Float) -> "Spread":
        """Mean and covariance of `vectors`, float[n, dim]."""
        wide = vectors.astype(np.float64)
        mean = wide.mean(axis=0)
        covariance = (wide - mean).T @ (wide - mean) / len(wide)
        return cls(mean.astype(np.float32), covariance.astype(np.float32))

    def cosines_of(self, vectors: Float32) -> tuple[Float32, Float32]:
        """Mean and standard deviation, float32[n], of the cosines of each of `vectors`, float32[n, dim]."""
        variance = ((vectors @ self.covariance) * vectors).sum(axis=1)
        return vectors @ self.mean, np.sqrt(np.maximum(variance, _LEAST_VARIANCE))


@dataclass(frozen=True, eq=False)
class LogisticModel:
    """A logistic regression: weights of `FEATURES`, float64[5], and of a text's vector, float64[dim]."""

    weights: Float64
    text_weights: Float64
    intercept: float
    count_weight: float = 0.0
    """Weight of the logarithm of the number of texts of which the best was chosen."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model's calibration: spreads of photos and of texts, and the regressions of `sure` and `unknown`."""

    photos: Spread
    """Spread of the vectors of photos of all kinds."""
    texts: Spread
    """Spread of the vectors of texts that people search for."""
    sure: LogisticModel
    unknown: LogisticModel
    threshold: float
    """Probability from which `sure` keeps a photo."""
    relaxation: float
    """`threshold` is divided by up to 1 + this while no photo kept so far is likely to be right."""
    languages: tuple[str, ...]
    """Languages of queries for which `sure` reaches its goals, as codes like "en"."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Quality measured when the calibration was fitted."""

    def odds(self, logistic: LogisticModel, photos: Float, texts: Float) -> Float64:
        """Log odds that each of `texts` fits each of `photos`: float64[n, texts].

        Unit vectors float[n, dim] and float[texts, dim].
        """
        pairs = np.indices((len(photos), len(texts))).reshape(2, -1)
        return self._odds_of(logistic, photos, texts, *pairs).reshape(len(photos), len(texts))

    def is_sure(self, photos: Float, query: Float) -> Bool:
        """Select the photos that `sure` keeps, bool[n], of a query's best photos float[n, dim], best first.

        A photo is kept if it fits the query, float[dim], with a probability of at least `threshold`. For the
        first `SURE_DEPTH`, taken by descending probability, the threshold is lower:
        `threshold / (1 + relaxation * miss)`, where `miss` is the probability that no photo kept so far fits.
        """
        if not len(photos):
            return np.zeros(0, np.bool_)
        probabilities = _logistic(self.odds(self.sure, photos, query[None])[:, 0])
        kept: Bool = select_sure(probabilities[None], self.threshold, self.relaxation)[0]
        return kept

    def none_fits(self, photos: Float, labels: Float) -> Float32:
        """Probability that not even the label of highest cosine fits, float32[n].

        Unit vectors float[n, dim] of photos and float[labels, dim] of labels.
        """
        best = (photos.astype(np.float32) @ labels.astype(np.float32).T).argmax(axis=1)
        odds = self._odds_of(self.unknown, photos, labels, np.arange(len(photos)), best)
        return _logistic(-(odds + self.unknown.count_weight * np.log(len(labels)))).astype(np.float32)

    def _odds_of(
        self, logistic: LogisticModel, photos: Float, texts: Float, rows: Int64, columns: Int64
    ) -> Float64:
        """Log odds, float64[pairs], for the pairs of photos `rows` and texts `columns`."""
        text_odds = texts.astype(np.float64) @ logistic.text_weights + logistic.intercept
        found = features(self.photos, self.texts, photos, texts, rows, columns) @ logistic.weights
        total: Float64 = found + text_odds[columns]
        return total

    def covers(self, text: str) -> bool:
        """True if `languages` include a language for each script in `text`."""
        return all(set(self.languages) & languages for languages in map(languages_with, set(text)))

    @classmethod
    def read(cls, folder: Path, name: str) -> "Calibration":
        """Read the calibration of the model `name` in `folder`. Raises `ModelError` if there is none."""
        try:
            with (folder / CALIBRATION).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                if about["format"] != FORMAT:
                    raise ModelError(
                        f"{folder / CALIBRATION} is of another version of clipsight: fit it again"
                    )
                numbers = {key: arrays[key] for key in arrays.files if key != "about"}
            return _parsed(about, numbers)
        except FileNotFoundError:
            raise ModelError(
                f"the model {name} is not calibrated, so nothing says which of its scores are sure: use "
                "min_score, or fit a calibration (docs/sorting.md)"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ModelError(f"{folder / CALIBRATION} can't be read ({error}): fit it again") from error

    def write(self, folder: Path) -> None:
        """Write `CALIBRATION` into the model's folder. Raises `ModelError`."""
        regressions = {"sure": self.sure, "unknown": self.unknown}
        about = {
            "format": FORMAT,
            "least": self.threshold,
            "eager": self.relaxation,
            "languages": list(self.languages),
            "figures": dict(self.figures),
            "judges": {
                name: {"offset": logistic.intercept, "crowd": logistic.count_weight}
                for name, logistic in regressions.items()
            },
        }
        arrays: dict[str, Float | np.ndarray[Any, Any]] = {"about": np.array(json.dumps(about))}
        for name, spread in (("photos", self.photos), ("texts", self.texts)):
            arrays |= {f"{name}_mean": spread.mean, f"{name}_covariance": spread.covariance}
        for name, logistic in regressions.items():
            arrays |= {f"{name}_weights": logistic.weights, f"{name}_direction": logistic.text_weights}
        with atomic_write(folder / CALIBRATION, error=ModelError) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def select_sure(probabilities: Float64, threshold: float, relaxation: float) -> Bool:
    """Select the photos that `Calibration.is_sure` keeps, bool[queries, n].

    `probabilities`, float64[queries, n], are those of each query's photos, best first.
    """
    kept = np.zeros(probabilities.shape, np.bool_)
    miss = np.ones(len(probabilities))
    order = np.argsort(-probabilities[:, :SURE_DEPTH], axis=1, kind="stable")
    rows = np.arange(len(probabilities))
    for column in order.T:
        each = probabilities[rows, column]
        keep = each >= threshold / (1 + relaxation * miss)
        kept[rows, column] = keep
        miss = np.where(keep, miss * (1 - each), miss)
    kept[:, SURE_DEPTH:] = probabilities[:, SURE_DEPTH:] >= threshold
    return kept


def features(
    among_photos: Spread, among_texts: Spread, photos: Float, texts: Float, rows: Int64, columns: Int64
) -> Float64:
    """The `FEATURES`, float64[pairs, 5], of the pairs of photos `rows` and texts `columns`, int64[pairs].

    Unit vectors float[n, dim] of photos and float[k, dim] of texts.
    """
    photos, texts = photos.astype(np.float32), texts.astype(np.float32)
    cosines = np.einsum("ij,ij->i", photos[rows], texts[columns])
    photo_mean, photo_deviation = among_texts.cosines_of(photos)
    text_mean, text_deviation = among_photos.cosines_of(texts)
    return np.stack(
        (
            cosines,
            (cosines - text_mean[columns]) / text_deviation[columns],
            (cosines - photo_mean[rows]) / photo_deviation[rows],
            text_deviation[columns],
            among_texts.cosines_of(texts)[1][columns],
        ),
        axis=1,
    ).astype(np.float64)


def _parsed(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Calibration:
    spreads = {
        name: Spread(arrays[f"{name}_mean"], arrays[f"{name}_covariance"]) for name in ("photos", "texts")
    }
    regressions = {
        name: LogisticModel(
            arrays[f"{name}_weights"],
            arrays[f"{name}_direction"],
            float(numbers["offset"]),
            float(numbers["crowd"]),
        )
        for name, numbers in about["judges"].items()
    }
    return Calibration(
        spreads["photos"],
        spreads["texts"],
        regressions["sure"],
        regressions["unknown"],
        float(about["least"]),
        float(about["eager"]),
        tuple(about["languages"]),
        about["figures"],
    )


def _logistic(odds: Float64) -> Float64:
    return 0.5 * (1 + np.tanh(odds / 2))
