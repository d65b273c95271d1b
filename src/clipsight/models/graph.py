"""What an ONNX graph takes and gives, read from the graph: published exports differ in all of it."""

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
# Best first, for the graphs that give several vectors of the right length.
_IMAGE_OUTPUTS = ("image_embeds", "image_embedding", "image_features", "embedding", "pooler_output")
_TEXT_OUTPUTS = ("text_embeds", "text_embedding", "text_features", "embedding", "pooler_output")


@dataclass(frozen=True)
class Port:
    """An input or output: its name, ONNX type, and shape with None for a free side (None: any shape)."""

    name: str
    onnx_type: str
    shape: tuple[int | None, ...] | None

    @property
    def dtype(self) -> type[np.generic] | None:
        """The NumPy type of its elements; None for what no tower takes or gives."""
        return _DTYPES.get(self.onnx_type)

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    def __str__(self) -> str:
        element = self.onnx_type.removeprefix("tensor(").removesuffix(")")
        if self.shape is None:
            return f"{self.name} {element}[...]"
        return (
            f"{self.name} {element}[{', '.join('?' if side is None else str(side) for side in self.shape)}]"
        )


def ports(session: "InferenceSession") -> tuple[list[Port], list[Port]]:
    """The inputs and the outputs of a loaded graph."""
    return [_port(port) for port in session.get_inputs()], [_port(port) for port in session.get_outputs()]


@dataclass(frozen=True)
class ImageGraph:
    """How to feed a visual graph, and which output is the embedding.

    `batch` is the number of images it takes at once (None: any); with `normalises` it takes the uint8
    pixels themselves. `unused` are a text's inputs, where one graph has both towers.
    """

    image: Port
    output: str
    batch: int | None
    channels_last: bool
    normalises: bool
    unused: tuple[Port, ...]

    @classmethod
    def read(
        cls, inputs: Sequence[Port], outputs: Sequence[Port], dim: int, size: tuple[int, int]
    ) -> "ImageGraph":
        """Find out from a graph's ports; `dim` and `size` (height, width) are what the folder says.

        Raises ModelError that lists what was found where it does not fit.
        """
        found = _found(inputs, outputs)
        images = [port for port in inputs if port.rank == 4 and port.dtype in (*_FLOATS, np.uint8)]
        unused = tuple(port for port in inputs if port not in images)
        if len(images) != 1 or not all(_is_text(port) for port in unused):
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
        """What to run the graph with for uint8 [n, height, width, 3]; filled up to `batch` with zeros."""
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
    """How to feed a textual graph, and which output is the embedding.

    `batch` and `length` are the texts it takes at once and the tokens of each (None: any). `unused` is
    an image's input, where one graph has both towers.
    """

    ids: Port
    mask: Port | None
    segments: Port | None
    output: str
    batch: int | None
    length: int | None
    unused: tuple[Port, ...]

    @classmethod
    def read(cls, inputs: Sequence[Port], outputs: Sequence[Port], dim: int, context: int) -> "TextGraph":
        """Find out from a graph's ports; `dim` and `context` (tokens) are what the folder says.

        Raises ModelError that lists what was found where it does not fit.
        """
        found = _found(inputs, outputs)
        mask, segments = _named(inputs, _MASKS), _named(inputs, _SEGMENTS)
        unused = tuple(port for port in inputs if port.rank == 4)
        rest = [port for port in inputs if port not in (mask, segments, *unused)]
        if len(rest) != 1 or not _is_text(rest[0]):
            raise ModelError(f"textual/model.onnx should take token ids [batch, tokens]; {found}")
        batch, length = rest[0].shape or (None, None)
        if length not in (None, context):
            raise ModelError(
                f"textual/model.onnx takes {length} tokens, config.json has context_length {context}"
            )
        output = _embedding(outputs, dim, _TEXT_OUTPUTS, "textual", found)
        return cls(rest[0], mask, segments, output, batch, length, unused)

    def feed(self, ids: NDArray[np.int32], mask: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """What to run the graph with; `ids` and `mask` are int32 [batch, tokens]."""
        values = ((self.ids, ids), (self.mask, mask), (self.segments, np.zeros_like(ids)))
        given = {port.name: value.astype(port.dtype, copy=False) for port, value in values if port}
        return given | _zeros(self.unused)


def _port(argument: Any) -> Port:
    # onnxruntime writes a free side as its name or None, and an unknown shape as [].
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in argument.shape)
    return Port(argument.name, argument.type, shape or None)


def _is_text(port: Port) -> bool:
    return port.rank == 2 and port.dtype in _INTEGERS


def _zeros(ports: Iterable[Port]) -> dict[str, NDArray[Any]]:
    return {port.name: np.zeros([side or 1 for side in port.shape or ()], port.dtype) for port in ports}


def _embedding(outputs: Sequence[Port], dim: int, names: Sequence[str], tower: str, found: str) -> str:
    vectors = [port for port in outputs if port.dtype in _FLOATS and port.rank in (2, None)]
    widths = [port.shape[1] if port.shape else None for port in vectors]
    fitting = [port for port, width in zip(vectors, widths, strict=True) if width in (dim, None)]
    if vectors and not fitting:
        raise ModelError(
            f"{tower}/model.onnx gives vectors of {' or '.join(map(str, widths))} numbers, "
            f"config.json has embed_dim {dim}"
        )
    chosen = fitting[0] if len(fitting) == 1 else _named(fitting, names)
    if chosen is None:
        raise ModelError(f"{tower}/model.onnx should give one embedding [batch, {dim}]; {found}")
    return chosen.name


def _named(ports: Iterable[Port], names: Sequence[str]) -> Port | None:
    by_name = {port.name: port for port in ports}
    return next((by_name[name] for name in names if name in by_name), None)


def _found(inputs: Iterable[Port], outputs: Iterable[Port]) -> str:
    return f"found inputs {', '.join(map(str, inputs))} and outputs {', '.join(map(str, outputs))}"
