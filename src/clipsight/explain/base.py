"""Result types of explanations, and the protocols of models and methods.

The score to explain is the cosine similarity of a query's and a photo's embedding. A `WordExplainer`
attributes it to the words of a text, a `RegionExplainer` to regions of the photo.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsight.core.arguments import whole_number
from clipsight.core.arrays import Float32
from clipsight.core.text import TextLine
from clipsight.explain.registry import DEFAULT_COST, MAX_COST, METHODS, Kind
from clipsight.indexing.media.picture import Picture
from clipsight.search.embeddings import PhotoEncoder

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipsight.explain.text_segments import Word

Pixels = NDArray[np.uint8]
"""uint8[H, W, 3]: a photo as `Model.preprocess` returns it, before normalisation."""


# -- results ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WordShare:
    """Contribution of one word to the score.

    `contribution` is in units of the score if the method is additive (`WordExplanation.additive`), else
    relative to the other words. `stderr` is its standard error: 0 if exact, None for methods that do not
    sample. `leave_one_out` is the decrease of the score if only this word is left out, None if not computed.
    """

    word: str
    contribution: float
    stderr: float | None = None
    leave_one_out: float | None = None


@dataclass(frozen=True, slots=True)
class WordExplanation:
    """The words of one text, in order. `additive`: they add up to the score minus the empty text's score."""

    method: str
    words: tuple[WordShare, ...]
    additive: bool = False


@dataclass(frozen=True, slots=True)
class RegionExplanation:
    """Heat map of the photo.

    `heat` is float32[rows, columns], finite, over the part of the photo that the model sees, top row first.
    Regions with positive values raise the score, those with negative values lower it. `unit` is "score" (the
    decrease of the cosine if a sixteenth of the photo with this value were covered) or "relative" (only order
    and ratios are meaningful).
    """

    method: str
    heat: NDArray[np.float32]
    unit: Literal["score", "relative"] = "relative"


@dataclass(frozen=True, slots=True)
class PartShare:
    """One part of a query and its exact share of the score.

    `coefficient` is the part's coefficient in the unit query vector, `cosine` the score of the part alone;
    `words` are the contributions of its words to `share`.
    """

    part: str
    coefficient: float
    cosine: float
    words: tuple[WordShare, ...] = ()

    @property
    def share(self) -> float:
        """`coefficient` x `cosine`; the shares of all parts add up to the score."""
        return self.coefficient * self.cosine


@dataclass(frozen=True)
class Explanation:
    """Explanation of the score of `photo` for `query`: shares of parts and words, and a heat map."""

    query: str
    photo: Path
    model: str
    score: float
    method: str
    """Method for words; `region.method` differs if this method can't explain regions."""
    parts: tuple[PartShare, ...]
    region: RegionExplanation | None
    region_of: str
    """Text that the heat map is of: the query, or the argument `word`."""
    seen: tuple[float, float, float, float]
    """Box that the model sees: left, top, right, bottom as fractions of the upright photo's sides. Values
    below 0 or above 1 mean padding."""
    additive: bool
    """True if the words add up to the score minus the score of the query with empty texts."""
    seconds: float
    notes: tuple[str, ...] = ()
    text: tuple[TextLine, ...] = ()
    """Lines of text that were read in the photo and hold words of the query, with their boxes"""
    picture: Picture | None = field(default=None, repr=False, compare=False)
    """The photo as a picture, if it is not the file `photo`."""

    def open_photo(self, *, min_side: int) -> "Image":
        """Open the photo: upright, RGB, at least `min_side` pixels a side if possible. Raises PhotoError."""
        return (self.picture or Picture.of(self.photo)).open(min_side=min_side)

    @property
    def kind(self) -> Kind:
        """The kind of `method`."""
        return METHODS[self.method].kind

    @property
    def words(self) -> tuple[WordShare, ...]:
        """The words of all parts, in the order of the query."""
        return tuple(word for part in self.parts for word in part.words)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON-serialisable values; `parts` only if there are several, `text` if any."""
        content: dict[str, Any] = {
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
        if self.text:
            content["text"] = [
                {"text": each.text, "box": [each.left, each.top, each.right, each.bottom]}
                for each in self.text
            ]
        if len(self.parts) > 1:
            content["parts"] = [
                {
                    "part": each.part,
                    "share": _rounded(each.share),
                    "coefficient": _rounded(each.coefficient),
                    "cosine": _rounded(each.cosine),
                    "words": len(each.words),
                }
                for each in self.parts
            ]
        return content

    def _region_dict(self, region: RegionExplanation) -> dict[str, Any]:
        return {
            "of": self.region_of,
            "method": region.method,
            "unit": region.unit,
            "seen": [_rounded(side) for side in self.seen],
            "heat": [[_rounded(float(value)) for value in row] for row in region.heat],
        }


# -- protocols -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings common to all methods.

    `cost` limits the number of altered photos embedded for one explanation; up to twice as many altered texts
    are embedded, since they take less time. `seed` is that of random sampling. `progress` is called with a
    stage ("words" or "region"), the number of finished embeddings and their total.
    """

    cost: int = DEFAULT_COST
    seed: int = 0
    progress: Callable[[str, int, int], None] = lambda what, done, total: None

    def __post_init__(self) -> None:
        whole_number(self.cost, "cost", minimum=2, maximum=MAX_COST, required=True)
        whole_number(self.seed, "seed", required=True)


class Model(PhotoEncoder, Protocol):
    """A CLIP model whose scores can be explained.

    Implemented by `explain.onnx_model.OnnxModel` (a model folder) and
    `explain.torch_methods.model.TorchModel` (a checkpoint). Methods that need internals of a model check for
    one of these with `isinstance`.
    """

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a text."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32[n, dim], unit length."""

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """True for each text that exceeds the context length."""


class WordExplainer(Protocol):
    """Attributes the score of one text and one photo to the text's words."""

    def __init__(self, model: Model, settings: Settings) -> None: ...

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """The reason why the method can't explain `model`, as a clause about it; None if it can."""

    def explain_words(self, text: str, words: Sequence["Word"], pixels: Pixels) -> WordExplanation:
        """Return a WordShare for each of `words`, in order.

        `text` is one line that fits into the model's context, and `words` is `text_segments.split(text)`, at
        least one word.
        """


class RegionExplainer(Protocol):
    """Attributes the cosine of a query vector and a photo's embedding to regions of the photo."""

    def __init__(self, model: Model, settings: Settings) -> None: ...

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """The reason why the method can't explain `model`, as a clause about it; None if it can."""

    def explain_region(self, query: Float32, pixels: Pixels) -> RegionExplanation:
        """Heat map of `pixels` for the cosine with the unit vector `query`, float32[dim]."""


def _rounded(value: float) -> float:
    return round(float(value), 6)
