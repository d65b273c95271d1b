"""Registry of the methods. It imports neither them nor NumPy, since the command line's help lists them.

A new method is a module with a class that explains words, regions or both (protocols in `base`), and an entry
here.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["explanation", "view"]
"""An "explanation" is clearly better than chance in the benchmarks; a "view" only shows model internals."""

DEFAULT_METHOD = "occlusion"
"""Method that supports any model; also used for words or regions that another method can't explain."""

DEFAULT_COST, MIN_COST, MAX_COST = 100, 64, 100_000
"""Number of altered photos embedded for one explanation: default and minimum."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method, with its classes as "module:class" below `clipsight.explain` (None: unsupported).

    `needs` is the extra to install ("": none), and `package` a package of this extra.
    """

    name: str
    help: str
    kind: Kind
    words: str | None
    regions: str | None
    needs: Literal["", "explain", "train"] = ""

    @property
    def package(self) -> str:
        """Package that must be installed; "" for none."""
        return {"explain": "onnx", "train": "torch"}.get(self.needs, "")


METHODS = {
    method.name: method
    for method in (
        Method(
            "occlusion",
            "leave words out, cover places; any model",
            "explanation",
            "occlusion:OcclusionWords",
            "occlusion:OcclusionRegions",
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
            "torch_methods.attention:RelevanceWords",
            "torch_methods.attention:RelevanceRegions",
            "train",
        ),
        Method(
            "grad-cam",
            "gradient-weighted activations of the last convolution (Selvaraju et al. 2017)",
            "explanation",
            None,
            "grad_cam:GradCamRegions",
            "explain",
        ),
    )
}
"""All methods, the default first. `kind` follows the results of `benchmarks/explain.py` and `pointing.py`."""
