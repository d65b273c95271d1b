"""Inputs and outputs of a tower's ONNX graph, recognised by type, shape and name as exports differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import ModelError
from clipsight.models.preprocess import PreprocessConfig, normalise

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_FLOATS = (np.float32, np.float16, np.float64)
_INTEGERS = (np.int32, np.int64)

_MASKS = ("attention_mask", "mask", "text_mask")
_SEGMENTS = ("token_type_ids",)
# In order of preference, for graphs with several outputs of the right length.
_IMAGE_OUTPUTS = ("image_embeds", "image_embedding", "image_features", "embedding", "pooler_output")
_TEXT_OUTPUTS = ("text_embeds", "text_embedding", "text_features", "embedding", "pooler_output")


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor: name, ONNX type, and shape; None for dynamic axes or an unknown shape."""

    name: str
    onnx_type: str
    shape: tuple[int | None, ...] | None

    @property
    def dtype(self) -> type[np.generic] | None:
        """NumPy type of the elements; None for types that no tower uses."""
        return _DTYPES.get(self.onnx_type)

    @property
    def rank(self) -> int | None:
        """Number of dimensions; None if unknown."""
        return None if self.shape is None else len(self.shape)

    def __str__(self) -> str:
        element = self.onnx_type.removeprefix("tensor(").removesuffix(")")
        if self.shape is None:
            return f"{self.name} {element}[...]"
        return (
            f"{self.name} {element}[{', '.join('?' if side is None else str(side) for side in self.shape)}]"
        )


def tensor_specs(session: "InferenceSession") -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Return the inputs and the outputs of a loaded graph."""
    return [_spec(each) for each in session.get_inputs()], [_spec(each) for each in session.get_outputs()]


@dataclass(frozen=True)
class ImageGraph:
    """Inputs and the embedding output of a visual graph.

    `batch` is its fixed batch size (None: any). A graph that normalises pixels itself takes uint8. `unused`
    are the text inputs of a graph that has both towers.
    """

    image: TensorSpec
    output: str
    batch: int | None
    channels_last: bool
    normalises: bool
    unused: tuple[TensorSpec, ...]

    @classmethod
    def read(
        cls, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], dim: int, size: tuple[int, int]
    ) -> "ImageGraph":
        """Find the tensors in a graph; `dim` and `size` (height, width) are those of the model folder.

        Raises ModelError, which lists the tensors, if they do not match.
        """
        found = _found(inputs, outputs)
        images = [spec for spec in inputs if spec.rank == 4 and spec.dtype in (*_FLOATS, np.uint8)]
        unused = tuple(spec for spec in inputs if spec not in images)
        if len(images) != 1 or not all(_is_text(spec) for spec in unused):
            raise ModelError(f"visual/model.onnx should take images [batch, 3, height, width]; {found}")
        batch, *sides = images[0].shape or ()
        channels_last = sides[2] == 3 and sides[0] != 3
        channels, *sides = [sides[2], sides[0], sides[1]] if channels_last else sides
        if channels not in (3, None):
            raise ModelError(f"visual/model.onnx should take images of 3 colours; {found}")
        if any(side not in (None, wanted) for side, wanted in zip(sides, size, strict=True)):
            raise ModelError(
                f"visual/model.onnx takes images of {sides[0]} x {sides[1]} pixels, "
                f"preprocess_cfg.json has size {size[0]} x {size[1]}"
            )
        output = _embedding(outputs, dim, _IMAGE_OUTPUTS, "visual", found)
        return cls(images[0], output, batch, channels_last, images[0].dtype is np.uint8, unused)

    def feed(
        self, pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], preprocess: PreprocessConfig
    ) -> dict[str, NDArray[Any]]:
        """Return the input feed for uint8 [n, height, width, 3], padded with zeros to `batch`."""
        images: NDArray[Any] = np.zeros((self.batch or len(pixels), *preprocess.size, 3), np.uint8)
        images[: len(pixels)] = pixels
        if not self.normalises:
            planes = normalise(images, preprocess).astype(self.image.dtype, copy=False)
            images = np.moveaxis(planes, 1, -1) if self.channels_last else planes
        elif not self.channels_last:
            images = np.moveaxis(images, -1, 1)
        return {self.image.name: np.ascontiguousarray(images), **_zeros(self.unused)}


@dataclass(frozen=True)
class TextGraph:
    """Inputs and the embedding output of a textual graph.

    `batch` and `length` are its fixed numbers of texts and of tokens (None: any). `unused` is the image
    input of a graph that has both towers.
    """

    ids: TensorSpec
    mask: TensorSpec | None
    segments: TensorSpec | None
    output: str
    batch: int | None
    length: int | None
    unused: tuple[TensorSpec, ...]

    @classmethod
    def read(
        cls,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        dim: int,
        context: int,
        tower: str = "textual",
    ) -> "TextGraph":
        """Find the tensors in the graph of `tower`; `dim` and `context` (tokens) are those of its folder.

        Raises ModelError, which lists the tensors, if they do not match.
        """
        found = _found(inputs, outputs)
        mask, segments = _named(inputs, _MASKS), _named(inputs, _SEGMENTS)
        unused = tuple(spec for spec in inputs if spec.rank == 4)
        rest = [spec for spec in inputs if spec not in (mask, segments, *unused)]
        if len(rest) != 1 or not _is_text(rest[0]):
            raise ModelError(f"{tower}/model.onnx should take token ids [batch, tokens]; {found}")
        batch, length = rest[0].shape or (None, None)
        if length not in (None, context):
            raise ModelError(
                f"{tower}/model.onnx takes {length} tokens, config.json has context_length {context}"
            )
        output = _embedding(outputs, dim, _TEXT_OUTPUTS, tower, found)
        return cls(rest[0], mask, segments, output, batch, length, unused)

    def feed(self, ids: NDArray[np.int32], mask: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Return the input feed for `ids` and `mask`, int32 [batch, tokens]."""
        values = ((self.ids, ids), (self.mask, mask), (self.segments, np.zeros_like(ids)))
        given = {spec.name: value.astype(spec.dtype, copy=False) for spec, value in values if spec}
        return given | _zeros(self.unused)


def _spec(argument: Any) -> TensorSpec:
    # onnxruntime gives a dynamic axis as its name or None, and an unknown shape as [].
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in argument.shape)
    return TensorSpec(argument.name, argument.type, shape or None)


def _is_text(spec: TensorSpec) -> bool:
    return spec.rank == 2 and spec.dtype in _INTEGERS


def _zeros(specs: Iterable[TensorSpec]) -> dict[str, NDArray[Any]]:
    return {spec.name: np.zeros([side or 1 for side in spec.shape or ()], spec.dtype) for spec in specs}


def _embedding(outputs: Sequence[TensorSpec], dim: int, names: Sequence[str], tower: str, found: str) -> str:
    vectors = [spec for spec in outputs if spec.dtype in _FLOATS and spec.rank in (2, None)]
    widths = [spec.shape[1] if spec.shape else None for spec in vectors]
    fitting = [spec for spec, width in zip(vectors, widths, strict=True) if width in (dim, None)]
    if vectors and not fitting:
        raise ModelError(
            f"{tower}/model.onnx gives vectors of {' or '.join(map(str, widths))} numbers, "
            f"config.json has embed_dim {dim}"
        )
    chosen = fitting[0] if len(fitting) == 1 else _named(fitting, names)
    if chosen is None:
        raise ModelError(f"{tower}/model.onnx should give one embedding [batch, {dim}]; {found}")
    return chosen.name


def _named(specs: Iterable[TensorSpec], names: Sequence[str]) -> TensorSpec | None:
    by_name = {spec.name: spec for spec in specs}
    return next((by_name[name] for name in names if name in by_name), None)


def _found(inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> str:
    return f"found inputs {', '.join(map(str, inputs))} and outputs {', '.join(map(str, outputs))}"
