"""Probability that a photo shows what a text says: the calibration of `sure` and `unknown`.

Cosines have no zero, and no common scale: with the builtin model a photo of a man has a cosine of 0.27 with
"man", and a photo without a violin one of 0.4 with "violin". A logistic regression therefore judges a pair of
photo and text by

- its cosine;
- its level among photos: the distance from the mean of the text's cosines with photos of all kinds, in their
  standard deviations;
- its level among texts: the same among the photo's cosines with things that people search for;
- the text: the spread of its cosines, and a linear function of its vector, since texts of like meaning have
  like cosines with the photos they fit.

Means and deviations follow from mean and covariance of unit vectors (`Spread`), so that judging takes no
search. A model's calibration lies in its folder; `python -m recipes.calibration` fits and measures it.
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from clipsight.core.arrays import Bool, Float, Float32, Float64, Int64
from clipsight.core.errors import ModelError
from clipsight.core.files import atomic_write
from clipsight.models.folder import CALIBRATION

FORMAT = 1

SEEN = 10
"""Best photos of a query among which `sure` looks for one that fits."""

FEATURES = ("cosine", "among_photos", "among_texts", "deviation_of_photos", "deviation_of_texts")

_LEAST_VARIANCE = 1e-8

_SCRIPTS: Mapping[str, frozenset[str]] = {
    "CJK": frozenset(("zh", "ja")),
    "HIRAGANA": frozenset(("ja",)),
    "KATAKANA": frozenset(("ja",)),
    "HANGUL": frozenset(("ko",)),
    "CYRILLIC": frozenset(("ru", "uk", "bg", "sr")),
    "ARABIC": frozenset(("ar", "fa", "ur")),
    "GREEK": frozenset(("el",)),
    "HEBREW": frozenset(("he",)),
    "THAI": frozenset(("th",)),
    "DEVANAGARI": frozenset(("hi", "mr")),
    "LATIN": frozenset(
        ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "sk", "sl", "hr")
    )
    | frozenset(("hu", "ro", "tr", "vi", "id", "ms", "ca", "lt", "lv", "et")),
}
"""Languages by the first word of their letters' Unicode names."""


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
class Judge:
    """A logistic regression: weights of `FEATURES`, float64[5], and of a text's vector, float64[dim]."""

    weights: Float64
    direction: Float64
    offset: float
    """Log odds where all else is zero."""
    crowd: float = 0.0
    """Weight of the logarithm of the number of texts among which the best one was chosen."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model's calibration: spreads of photos and of texts, and the judges of `sure` and `unknown`."""

    photos: Spread
    """Of photos of all kinds."""
    texts: Spread
    """Of things that people search for."""
    sure: Judge
    unknown: Judge
    least: float
    """Probability from which `sure` keeps a photo."""
    eager: float
    """While no photo kept is likely to be right, `least` is divided by up to 1 + this."""
    languages: tuple[str, ...]
    """Languages of queries for which `sure` reaches its goals, as codes like "en"."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Figures measured when it was fitted."""

    def odds(self, judge: Judge, photos: Float, texts: Float) -> Float64:
        """Log odds that each of `texts` fits each of `photos`: float64[n, texts].

        Unit vectors float[n, dim] and float[texts, dim].
        """
        pairs = np.indices((len(photos), len(texts))).reshape(2, -1)
        return self._odds_of(judge, photos, texts, *pairs).reshape(len(photos), len(texts))

    def is_sure(self, photos: Float, query: Float) -> Bool:
        """Tell which of the best photos of a query, float[n, dim], best first, `sure` keeps: bool[n].

        A photo is kept from the probability `least` that it fits the query, float[dim]. Of the first `SEEN`,
        the most probable ones are kept from less: `least / (1 + eager * miss)`, where `miss` is the
        probability that no photo kept so far is right.
        """
        if not len(photos):
            return np.zeros(0, np.bool_)
        probabilities = _logistic(self.odds(self.sure, photos, query[None])[:, 0])
        kept: Bool = kept_of(probabilities[None], self.least, self.eager)[0]
        return kept

    def none_fits(self, photos: Float, labels: Float) -> Float32:
        """Probability that not even the label of highest cosine fits, float32[n].

        Unit vectors float[n, dim] of photos and float[labels, dim] of labels.
        """
        best = (photos.astype(np.float32) @ labels.astype(np.float32).T).argmax(axis=1)
        odds = self._odds_of(self.unknown, photos, labels, np.arange(len(photos)), best)
        return _logistic(-(odds + self.unknown.crowd * np.log(len(labels)))).astype(np.float32)

    def _odds_of(self, judge: Judge, photos: Float, texts: Float, rows: Int64, columns: Int64) -> Float64:
        """Log odds, float64[pairs], for the pairs of photos `rows` and texts `columns`."""
        text_odds = texts.astype(np.float64) @ judge.direction + judge.offset
        found = features(self.photos, self.texts, photos, texts, rows, columns) @ judge.weights
        total: Float64 = found + text_odds[columns]
        return total

    def covers(self, text: str) -> bool:
        """Tell whether one of `languages` is written in the scripts of `text`."""
        return all(set(self.languages) & languages for languages in map(_languages_with, set(text)))

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
        about = {
            "format": FORMAT,
            "least": self.least,
            "eager": self.eager,
            "languages": list(self.languages),
            "figures": dict(self.figures),
            "judges": {
                name: {"offset": judge.offset, "crowd": judge.crowd} for name, judge in self._judges().items()
            },
        }
        arrays: dict[str, Float | np.ndarray[Any, Any]] = {"about": np.array(json.dumps(about))}
        for name, spread in (("photos", self.photos), ("texts", self.texts)):
            arrays |= {f"{name}_mean": spread.mean, f"{name}_covariance": spread.covariance}
        for name, judge in self._judges().items():
            arrays |= {f"{name}_weights": judge.weights, f"{name}_direction": judge.direction}
        with atomic_write(folder / CALIBRATION, error=ModelError) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def _judges(self) -> dict[str, Judge]:
        return {"sure": self.sure, "unknown": self.unknown}


def kept_of(probabilities: Float64, least: float, eager: float) -> Bool:
    """Tell which photos `Calibration.is_sure` keeps, from their probabilities, best first: [queries, n]."""
    kept = np.zeros(probabilities.shape, np.bool_)
    miss = np.ones(len(probabilities))
    order = np.argsort(-probabilities[:, :SEEN], axis=1, kind="stable")
    rows = np.arange(len(probabilities))
    for column in order.T:
        each = probabilities[rows, column]
        keep = each >= least / (1 + eager * miss)
        kept[rows, column] = keep
        miss = np.where(keep, miss * (1 - each), miss)
    kept[:, SEEN:] = probabilities[:, SEEN:] >= least
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


@cache
def _languages_with(letter: str) -> frozenset[str]:
    """Languages that `letter` is written in; of digits and signs all."""
    if not letter.isalpha():
        return frozenset().union(*_SCRIPTS.values())
    return _SCRIPTS.get(unicodedata.name(letter, "").split(" ")[0].split("-")[0], frozenset())


def _parsed(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Calibration:
    spreads = {
        name: Spread(arrays[f"{name}_mean"], arrays[f"{name}_covariance"]) for name in ("photos", "texts")
    }
    judges = {
        name: Judge(
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
        judges["sure"],
        judges["unknown"],
        float(about["least"]),
        float(about["eager"]),
        tuple(about["languages"]),
        about["figures"],
    )


def _logistic(odds: Float64) -> Float64:
    return 0.5 * (1 + np.tanh(odds / 2))
