"""The methods by name, known without loading any: `clipsight explain --help` reads only this.

A new method is one file, with a class that explains words or regions or both (see `protocol`), and one entry
here.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from clipsight.explain.base import RegionExplainer, WordExplainer

Kind = Literal["explanation", "view"]
"""Whether a method clearly beats chance where that is measured, or only shows what the model does inside."""

DEFAULT = "occlusion"
"""The method for any model, and for what another can't do."""

DEFAULT_COST, LEAST_COST = 100, 64
"""Changed photos that are embedded for an explanation, unless told otherwise, and at least."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its name: where its classes are ("module:class" below `clipsight.explain`), what it needs.

    `needs` is the extra to install, "" for none.
    """

    name: str
    help: str
    kind: Kind
    words: str | None
    regions: str | None
    needs: Literal["", "train"] = ""

    def word_explainer(self) -> "type[WordExplainer]":
        assert self.words is not None
        explainer: type[WordExplainer] = _load(self.words)
        return explainer

    def region_explainer(self) -> "type[RegionExplainer]":
        assert self.regions is not None
        explainer: type[RegionExplainer] = _load(self.regions)
        return explainer


METHODS = {
    method.name: method
    for method in (
        Method(
            "occlusion",
            "leave words out, cover places; any model",
            "explanation",
            "words:OcclusionWords",
            "regions:OcclusionRegions",
        ),
        Method(
            "attention",
            "the text tower's last attention from the end of the text to its words",
            "view",
            "torch_methods.attention:AttentionWords",
            None,
            "train",
        ),
        Method(
            "gradient",
            "gradient x input of the score",
            "view",
            "torch_methods.gradient:GradientWords",
            "torch_methods.gradient:GradientRegions",
            "train",
        ),
        Method(
            "relevance",
            "relevance propagated through attention (Chefer et al. 2021)",
            "view",
            "torch_methods.relevance:RelevanceWords",
            "torch_methods.relevance:RelevanceRegions",
            "train",
        ),
        Method(
            "grad-cam",
            "gradient-weighted activations of the last convolution (Selvaraju et al. 2017)",
            "explanation",
            None,
            "grad_cam:GradCamRegions",
        ),
    )
}
"""All methods, the default first. `kind` follows what `benchmarks` `explain` and `pointing` measured."""


def _load(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(f"clipsight.explain.{module}"), name)
