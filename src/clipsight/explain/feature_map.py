"""The last convolution of an image tower in ONNX, and how a score depends on it. Called by `grad_cam`.

ONNX Runtime gives no gradients. But Grad-CAM's weighted sum at a place is the score's derivative as the
channels of that place are added, ever so little, to those of every place alike. So the graph is cut after the
convolution, and its second part is run twice a place, on features moved there and back.
"""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import ModelError
from clipsight.explain.base import Pixels, Vector
from clipsight.models.graph import ImageGraph, ports
from clipsight.models.session import first_line
from clipsight.models.weight_mapping import FOLDER_OPTION, graph_without_weights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto
    from onnxruntime import InferenceSession

    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder

Floats = NDArray[np.float32]

# What may follow a convolution before its features are pooled: activations, norms, gates, residual sums.
_ELEMENTWISE = {"Add", "BatchNormalization", "Clip", "Div", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish"}
_ELEMENTWISE |= {"LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid"}
# An attention pool and a head multiply fewer matrices than this, the blocks of a transformer more.
_MOST_MATRICES = 8
# How far features are moved, in shares of their mean's length: little enough for a derivative, and enough for
# float32. Between 0.0005 and 0.005 the builtin model's heat is within 0.4 % of what float64 gives.
_STEP = 0.003
_AT_ONCE = 32


class FeatureMap:
    """The image tower of `encoder` in two: photo -> features of the last convolution -> embedding.

    Raises ModelError where `obstacle` tells one, or a part can't be run.
    """

    def __init__(self, encoder: "Encoder") -> None:
        if found := self.obstacle(encoder.folder):
            raise ModelError(f"grad-cam can't explain {encoder.name}, {found}")
        from onnx.utils import Extractor

        self._name, self._preprocess = encoder.name, encoder.folder.preprocess
        model = _read(encoder.folder)
        names = _cut(model)
        outputs = len(model.graph.output)
        second = Extractor(model)
        model.graph.output.extend(second.value_infos[name] for name in names)
        self._names = names
        self._first = _session(model, encoder)
        inputs, given = ports(self._first)
        self._graph = ImageGraph.read(inputs, given[:outputs], encoder.dim, encoder.input_size)
        self._second = _session(second.extract_model(names, [self._graph.output]), encoder)

    @staticmethod
    def obstacle(folder: "ModelFolder") -> str | None:
        """None if the tower of `folder` can be cut, else why not, as a clause about the model."""
        if find_spec("onnx") is None:
            return "whose graph is read with onnx: pip install onnx"
        return None if _cut(_read(folder)) else "whose image tower does not end with convolutions"

    def weighted_sum(
        self, query: Vector, pixels: Pixels, progress: Callable[[str, int, int], None]
    ) -> Floats:
        """Grad-CAM before its negative part is dropped: float32[rows, columns]."""
        features, sides = self._features(pixels)
        places = features[0].reshape(features.shape[1], -1).T.astype(np.float64)
        lengths = np.linalg.norm(places, axis=1)
        step = _STEP * float(np.linalg.norm(places.mean(axis=0)))
        if step == 0:
            return np.zeros(features.shape[2:], np.float32)
        along = step * places / np.where(lengths > 0, lengths, 1)[:, None]
        moves = np.concatenate([along, -along]).astype(np.float32)
        there, back = self._cosines(features, sides, moves, query, progress).reshape(2, -1)
        slopes: Floats = ((there - back) / (2 * step) * lengths / len(lengths)).astype(np.float32)
        return slopes.reshape(features.shape[2:])

    def _features(self, pixels: Pixels) -> tuple[Floats, list[NDArray[Any]]]:
        """float32[1, channels, rows, columns], and what else the second part needs."""
        feed = self._graph.feed([pixels], self._preprocess)
        features, *sides = self._run(self._first, self._names, feed)
        return features[:1], [side[:1] if _is_of_photos(side) else side for side in sides]

    def _cosines(
        self,
        features: Floats,
        sides: list[NDArray[Any]],
        moves: Floats,
        query: Vector,
        progress: Callable[[str, int, int], None],
    ) -> NDArray[np.float64]:
        """The cosine with `query` as all places are moved along each of float32[n, channels]: float64[n]."""
        at_once = self._graph.batch or (_AT_ONCE if all(map(_is_of_photos, sides)) else 1)
        beside = [np.repeat(side, at_once, axis=0) if _is_of_photos(side) else side for side in sides]
        cosines = np.empty(len(moves))
        for start in range(0, len(moves), at_once):
            some = moves[start : start + at_once]
            moved = np.repeat(features, at_once, axis=0)
            moved[: len(some)] += some[:, :, None, None]
            feed = dict(zip(self._names, (moved, *beside), strict=True))
            vectors = self._run(self._second, [self._graph.output], feed)[0][: len(some)].astype(np.float64)
            cosines[start : start + at_once] = vectors @ query / np.linalg.norm(vectors, axis=1)
            progress("region", start + len(some), len(moves))
        return cosines

    def _run(
        self, session: "InferenceSession", outputs: list[str], feed: dict[str, NDArray[Any]]
    ) -> list[NDArray[Any]]:
        try:
            found: list[NDArray[Any]] = session.run(outputs, feed)
        except Exception as error:  # onnxruntime's errors have no base class but Exception
            raise ModelError(f"model {self._name} could not be run: {first_line(error)}") from error
        return found


def _read(folder: "ModelFolder") -> "ModelProto":
    """The graph of the image tower with the shapes of all its tensors; weights stay in their file."""
    import onnx

    file = folder.path / "visual" / "model.onnx"
    try:
        slim = graph_without_weights(file)
        model = onnx.load_from_string(slim) if slim else onnx.load(file, load_external_data=False)
        return onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # protobuf's and onnx's errors have no base class but Exception
        raise ModelError(f"{file} can't be read ({first_line(error)})") from error


def _cut(model: "ModelProto") -> list[str]:
    """The features, then what else the second part needs of the first; [] if there is no such place."""
    features = _last_map(model)
    if features is None:
        return []
    nodes, constants = model.graph.node, {each.name for each in model.graph.initializer}
    of_photo = _reached(nodes, {each.name for each in model.graph.input} - constants)
    after = _reached(nodes, {features})
    second = [node for node in nodes if (after - {features}).intersection(node.output)]
    if sum(node.op_type in ("MatMul", "Gemm") for node in second) > _MOST_MATRICES:
        return []
    needed = [name for node in second for name in node.input if name in of_photo - after]
    return [features, *dict.fromkeys(needed)]


def _last_map(model: "ModelProto") -> str | None:
    """What the last convolution over places gives, after the element-wise nodes that follow it."""
    shapes = {each.name: _shape(each) for each in model.graph.value_info}
    last: str | None = None
    for node in model.graph.node:
        name = node.output[0]
        shape = shapes.get(name)
        if shape is None or len(shape) != 4 or shape[2:] == (1, 1):
            continue
        follows = node.op_type in _ELEMENTWISE and last in node.input and shape == shapes[last or name]
        if node.op_type == "Conv" or follows:
            last = name
    return last


def _shape(value: "ValueInfoProto") -> tuple[int | str, ...] | None:
    """Of float32 tensors: others can't be moved by little."""
    from onnx import TensorProto

    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        return None
    return tuple(side.dim_value or side.dim_param for side in tensor.shape.dim)


def _reached(nodes: "Iterable[NodeProto]", names: set[str]) -> set[str]:
    """`names` and all that is computed from them."""
    reached = set(names)
    for node in nodes:  # in an order in which they can run
        if reached.intersection(node.input):
            reached.update(node.output)
    return reached


def _session(model: "ModelProto", encoder: "Encoder") -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = encoder.workers
    options.log_severity_level = 3
    options.add_session_config_entry(FOLDER_OPTION, str(encoder.folder.path / "visual"))
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no base class but Exception
        raise ModelError(f"model {encoder.name} can't be cut in two: {first_line(error)}") from error


def _is_of_photos(side: NDArray[Any]) -> bool:
    """Whether its rows are a batch's photos; else it is a size."""
    return side.ndim > 1 and np.issubdtype(side.dtype, np.floating)
