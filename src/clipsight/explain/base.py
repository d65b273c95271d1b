"""What an explanation is, and what every method of making one offers.

A method is one file with one class a kind of explanation: a `WordExplainer` says how much each word of a text
made the score, a `RegionExplainer` which places of the photo did. `methods` names them; a new method is one
file and one entry there. Called by `explain.explain`, which puts an `Explanation` together.

The score that is explained is the cosine of a query's and a photo's embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.registry import DEFAULT_COST, METHODS, Kind

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipsight.explain.text_segments import Word
    from clipsight.models.preprocess import PreprocessConfig

Pixels = NDArray[np.uint8]
"""uint8[H, W, 3]: a photo as `Model.preprocess` gives it, before normalisation."""

Vector = NDArray[np.float32]
"""float32[dim], unit length."""


# -- what is found ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WordShare:
    """What one word did to the score.

    `contribution` is in units of the score where a method's shares add up (`WordExplanation.additive`), else
    relative to the other words. `stderr` is its standard error, 0 if it is exact, None where nothing is
    estimated. `left_out` is how much the score falls if this word alone is left out, None if not measured.
    """

    word: str
    contribution: float
    stderr: float | None = None
    left_out: float | None = None


@dataclass(frozen=True, slots=True)
class WordExplanation:
    """The words of one text, in their order; `additive`: they add up to score - the empty text's score."""

    method: str
    words: tuple[WordShare, ...]
    additive: bool = False


@dataclass(frozen=True, slots=True)
class RegionExplanation:
    """Which places of the photo made the score.

    `heat` is float32[rows, columns], finite, over the part of the photo that the model sees, rows from above:
    higher, the more that place raises the score; below 0, where it lowers it. `unit` says what 1 is:
    "score" (cosine lost if a sixteenth of the photo is covered, all of it like that place) or "relative"
    (nothing but order and ratio).
    """

    method: str
    heat: NDArray[np.float32]
    unit: Literal["score", "relative"] = "relative"


@dataclass(frozen=True, slots=True)
class PartShare:
    """One part of a query and what it adds to the score, exactly: `coefficient` x `cosine`.

    `coefficient` is the part's weight in the unit query vector; `words` are shares of `share`.
    """

    part: str
    coefficient: float
    cosine: float
    words: tuple[WordShare, ...] = ()

    @property
    def share(self) -> float:
        return self.coefficient * self.cosine


@dataclass(frozen=True)
class Explanation:
    """Why `photo` has `score` for `query`: its parts, their words, and a region."""

    query: str
    photo: Path
    model: str
    score: float
    method: str
    """What explained the words; `region.method` may be another, where this one can't do regions."""
    parts: tuple[PartShare, ...]
    region: RegionExplanation | None
    region_of: str
    """The query, or the word that `word` named."""
    seen: tuple[float, float, float, float]
    """left, top, right, bottom of what the model sees, in shares (0 to 1) of the upright photo's sides;
    beyond them where it is shown a margin."""
    additive: bool
    """Whether words add up to the score minus the score of the query with its texts empty."""
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """Whether the words are explained, or the model only viewed."""
        return METHODS[self.method].kind

    @property
    def words(self) -> tuple[WordShare, ...]:
        """The words of all parts, in the order of the query."""
        return tuple(word for part in self.parts for word in part.words)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as `--json` prints it; `parts` only where there are several."""
        found: dict[str, Any] = {
            "score": _rounded(self.score),
            "method": self.method,
            "words": [
                {
                    "word": each.word,
                    "contribution": _rounded(each.contribution),
                    "stderr": None if each.stderr is None else _rounded(each.stderr),
                }
                for each in self.words
            ],
            "region": None if self.region is None else self._region_dict(self.region),
        }
        if len(self.parts) > 1:
            found["parts"] = [
                {
                    "part": each.part,
                    "share": _rounded(each.share),
                    "coefficient": _rounded(each.coefficient),
                    "cosine": _rounded(each.cosine),
                    "words": len(each.words),
                }
                for each in self.parts
            ]
        return found

    def _region_dict(self, region: RegionExplanation) -> dict[str, Any]:
        return {
            "of": self.region_of,
            "method": region.method,
            "unit": region.unit,
            "seen": [_rounded(side) for side in self.seen],
            "heat": [[_rounded(float(value)) for value in row] for row in region.heat],
        }


# -- what finds it -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """How much a method may do.

    `cost` bounds how many changed photos are embedded for one explanation; of texts, `words` takes twice as
    many, for they cost less.
    `progress` is called with what is done, and how many of how many embeddings that is.
    """

    cost: int = DEFAULT_COST
    seed: int = 0
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


class Model(Protocol):
    """What is explained: `explain.model.OnnxModel` (an Encoder), or a checkpoint in PyTorch.

    The second is `explain.torch_methods.model.TorchModel`, made by `open_checkpoint(name)` there; methods
    that look inside ask for one of the two with `isinstance`.
    """

    @property
    def name(self) -> str: ...
    @property
    def preprocessing(self) -> "PreprocessConfig":
        """How a photo becomes the model's input."""

    @property
    def context_length(self) -> int:
        """Tokens of a text that the model reads."""

    def preprocess(self, image: "Image") -> Pixels:
        """What the model sees of an RGB photo: uint8[H, W, 3]."""

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """Embed what `preprocess` gave: float32[n, dim], unit length. Any n; runs in turns of its own."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32[n, dim], unit length."""

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """Which texts are longer than the context."""


class WordExplainer(Protocol):
    """Explains the score of one text and one photo by the text's words."""

    def __init__(self, model: Model, settings: Settings) -> None: ...

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """None if this method can explain `model`, else in a few words what it lacks."""

    def explain_words(self, text: str, words: Sequence["Word"], pixels: Pixels) -> WordExplanation:
        """One WordShare for each of `words`, in their order: places in `text`, as `segment.split` gives them.

        `text` is on one line and not empty, `words` at least one; what of it is beyond the model's context
        has been cut.
        """


class RegionExplainer(Protocol):
    """Explains the cosine of a query's vector and a photo's embedding by places of the photo."""

    def __init__(self, model: Model, settings: Settings) -> None: ...

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """None if this method can explain `model`, else in a few words what it lacks."""

    def explain_region(self, query: Vector, pixels: Pixels) -> RegionExplanation:
        """Heat over `pixels` for the cosine with `query` (in the model's space; perhaps a joint query's)."""


def _rounded(value: float) -> float:
    return round(float(value), 6)
