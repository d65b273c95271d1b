"""Heat maps by Grad-CAM of the last convolution (Selvaraju et al. 2017, arXiv:1610.02391).

The weight of a channel is the gradient of the score with respect to the channel, averaged over positions; the
heat at a position is the weighted sum of its channels, if positive. Model folders are supported without
PyTorch by splitting the graph (`FeatureMap`); for checkpoints, the last layer of a ResNet before its
attention pool is used.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.arrays import Float32
from clipsight.core.errors import ModelError
from clipsight.explain.base import Model, Pixels, RegionExplanation, Settings
from clipsight.explain.onnx_model import OnnxModel
from clipsight.explain.torch_methods.model import TorchModel
from clipsight.models.graph import ImageGraph, tensor_specs
from clipsight.models.session import first_line
from clipsight.models.weight_mapping import EXTERNAL_DATA_FOLDER, externalize_weights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto
    from onnxruntime import InferenceSession

    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder


# Operators allowed between the last convolution and the pooling: activations, norms, gates, residual sums.
_ELEMENTWISE = {"Add", "BatchNormalization", "Clip", "Div", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish"}
_ELEMENTWISE |= {"LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid"}
# Maximum number of matrix products after the convolution: more than in an attention pool and a projection,
# and fewer than in transformer blocks.
_MAX_MATRICES = 8
# Step of the finite difference, relative to the norm of the mean feature. Between 0.0005 and 0.005 the
# builtin model's heat is within 0.4 % of the result in float64.
_STEP = 0.003
_BATCH = 32


class GradCamRegions:
    """Grad-CAM of a convolutional image tower, in a model folder (the builtin one too) or a checkpoint."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._map = FeatureMap(model.encoder) if isinstance(model, OnnxModel) else None

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """The reason why Grad-CAM can't explain `model`; None for convolutional image towers."""
        if isinstance(model, OnnxModel):
            return FeatureMap.unsupported(model.encoder.folder)
        if isinstance(model, TorchModel) and model.clip.architecture.vision_cfg.patch_size is None:
            return None
        return "whose image tower is a Vision Transformer"

    def explain_region(self, query: Float32, pixels: Pixels) -> RegionExplanation:
        """Heat map of values of at least 0, one for each position of the last convolution."""
        if self._map is not None:
            weighted = self._map.weighted_sum(query, pixels, self._settings.progress)
        else:
            assert isinstance(self._model, TorchModel)
            trace = self._model.trace_features(pixels, query)
            weights = trace.input_gradients.mean(axis=(1, 2))
            weighted = np.einsum("c,cij->ij", weights, trace.inputs)
        return RegionExplanation("grad-cam", np.maximum(weighted, 0))


class FeatureMap:
    """An image tower in two parts: photo -> features of the last convolution -> embedding.

    ONNX Runtime computes no gradients. But Grad-CAM's weighted sum at a position equals the derivative of the
    score with respect to t, if t times the features of that position are added to the features of every
    position. So the graph is split after the convolution, and the second part is run twice for each position,
    for a central difference.

    Raises ModelError for an `unsupported` model, or if a part can't be run.
    """

    def __init__(self, encoder: "Encoder") -> None:
        if reason := self.unsupported(encoder.folder):
            raise ModelError(f"grad-cam can't explain {encoder.name}, {reason}")
        from onnx.utils import Extractor

        self._name, self._preprocess = encoder.name, encoder.folder.preprocess
        model = _read(encoder.folder)
        names = _split_tensors(model)
        outputs = len(model.graph.output)
        second = Extractor(model)
        model.graph.output.extend(second.value_infos[name] for name in names)
        self._names = names
        self._first = _session(model, encoder)
        inputs, given = tensor_specs(self._first)
        self._graph = ImageGraph.read(inputs, given[:outputs], encoder.dim, encoder.input_size)
        self._second = _session(second.extract_model(names, [self._graph.output]), encoder)

    @staticmethod
    def unsupported(folder: "ModelFolder") -> str | None:
        """The reason why the tower of `folder` can't be split, as a clause about it; None if it can."""
        return None if _split_tensors(_read(folder)) else "whose image tower does not end with convolutions"

    def weighted_sum(
        self, query: Float32, pixels: Pixels, progress: Callable[[str, int, int], None]
    ) -> Float32:
        """Grad-CAM without its final ReLU: float32[rows, columns]."""
        features, others = self._features(pixels)
        places = features[0].reshape(features.shape[1], -1).T.astype(np.float64)
        lengths = np.linalg.norm(places, axis=1)
        step = _STEP * float(np.linalg.norm(places.mean(axis=0)))
        if step == 0:
            return np.zeros(features.shape[2:], np.float32)
        shift = step * places / np.where(lengths > 0, lengths, 1)[:, None]
        shifts = np.concatenate([shift, -shift]).astype(np.float32)
        plus, minus = self._cosines(features, others, shifts, query, progress).reshape(2, -1)
        slopes: Float32 = ((plus - minus) / (2 * step) * lengths / len(lengths)).astype(np.float32)
        return slopes.reshape(features.shape[2:])

    def _features(self, pixels: Pixels) -> tuple[Float32, list[NDArray[Any]]]:
        """float32[1, channels, rows, columns], and the other inputs of the second part."""
        feed = self._graph.feed([pixels], self._preprocess)
        features, *others = self._run(self._first, self._names, feed)
        return features[:1], [each[:1] if _is_batched(each) else each for each in others]

    def _cosines(
        self,
        features: Float32,
        others: list[NDArray[Any]],
        shifts: Float32,
        query: Float32,
        progress: Callable[[str, int, int], None],
    ) -> NDArray[np.float64]:
        """Cosines with `query`, float64[n], with each of `shifts`, float32[n, channels], added everywhere."""
        size = self._graph.batch or (_BATCH if all(map(_is_batched, others)) else 1)
        repeated = [np.repeat(each, size, axis=0) if _is_batched(each) else each for each in others]
        cosines = np.empty(len(shifts))
        for start in range(0, len(shifts), size):
            batch = shifts[start : start + size]
            shifted = np.repeat(features, size, axis=0)
            shifted[: len(batch)] += batch[:, :, None, None]
            feed = dict(zip(self._names, (shifted, *repeated), strict=True))
            vectors = self._run(self._second, [self._graph.output], feed)[0][: len(batch)].astype(np.float64)
            cosines[start : start + size] = vectors @ query / np.linalg.norm(vectors, axis=1)
            progress("region", start + len(batch), len(shifts))
        return cosines

    def _run(
        self, session: "InferenceSession", outputs: list[str], feed: dict[str, NDArray[Any]]
    ) -> list[NDArray[Any]]:
        try:
            results: list[NDArray[Any]] = session.run(outputs, feed)
        except Exception as error:  # onnxruntime's errors have no base class but Exception
            raise ModelError(f"model {self._name} could not be run: {first_line(error)}") from error
        return results


def _read(folder: "ModelFolder") -> "ModelProto":
    """Read the graph of the image tower, without weights, and infer shapes."""
    import onnx

    file = folder.path / "visual" / "model.onnx"
    try:
        slim = externalize_weights(file)
        model = onnx.load_from_string(slim) if slim else onnx.load(file, load_external_data=False)
        return onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # protobuf's and onnx's errors have no base class but Exception
        raise ModelError(f"{file} can't be read ({first_line(error)})") from error


def _split_tensors(model: "ModelProto") -> list[str]:
    """Names of the tensors at which to split the graph, the features first; [] if it can't be split."""
    features = _last_convolution(model)
    if features is None:
        return []
    nodes, constants = model.graph.node, {each.name for each in model.graph.initializer}
    from_photo = _dependents(nodes, {each.name for each in model.graph.input} - constants)
    after = _dependents(nodes, {features})
    second = [node for node in nodes if (after - {features}).intersection(node.output)]
    if sum(node.op_type in ("MatMul", "Gemm") for node in second) > _MAX_MATRICES:
        return []
    needed = [name for node in second for name in node.input if name in from_photo - after]
    return [features, *dict.fromkeys(needed)]


def _last_convolution(model: "ModelProto") -> str | None:
    """Name of the output of the last spatial convolution, after the element-wise nodes that follow it."""
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
    """Shape of a float32 tensor; None for other types, which have no derivative."""
    from onnx import TensorProto

    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        return None
    return tuple(side.dim_value or side.dim_param for side in tensor.shape.dim)


def _dependents(nodes: "Iterable[NodeProto]", names: set[str]) -> set[str]:
    """`names` and all tensors computed from them; `nodes` are in topological order."""
    dependents = set(names)
    for node in nodes:
        if dependents.intersection(node.input):
            dependents.update(node.output)
    return dependents


def _session(model: "ModelProto", encoder: "Encoder") -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = encoder.workers
    options.log_severity_level = 3
    options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(encoder.folder.path / "visual"))
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no base class but Exception
        raise ModelError(f"model {encoder.name} can't be split: {first_line(error)}") from error


def _is_batched(tensor: NDArray[Any]) -> bool:
    """True if the first axis is the batch; tensors without a batch axis hold shapes and sizes."""
    return tensor.ndim > 1 and np.issubdtype(tensor.dtype, np.floating)
