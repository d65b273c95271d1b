"""Places by Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): what the last convolution found there.

A channel's weight is the score's gradient with respect to it, averaged over places; the heat of a place is
the weighted sum of its channels, where that is positive. In a model folder `feature_map` finds the last
convolution, and no PyTorch is needed; of a checkpoint it is the ResNet's, before its attention pool.
"""

import numpy as np

from clipsight.explain.base import Model, Pixels, RegionExplanation, Settings, Vector
from clipsight.explain.feature_map import FeatureMap
from clipsight.explain.onnx_model import OnnxModel
from clipsight.explain.torch_methods.model import TorchModel


class GradCamRegions:
    """Grad-CAM of a convolutional image tower, in a model folder (the builtin one too) or a checkpoint."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._map = FeatureMap(model.encoder) if isinstance(model, OnnxModel) else None

    @staticmethod
    def obstacle(model: Model) -> str | None:
        if isinstance(model, OnnxModel):
            return FeatureMap.obstacle(model.encoder.folder)
        if isinstance(model, TorchModel) and model.clip.architecture.vision_cfg.patch_size is None:
            return None
        return "whose image tower is a Vision Transformer"

    def explain_region(self, query: Vector, pixels: Pixels) -> RegionExplanation:
        """Heat of at least 0, a value for each place of the last convolution."""
        if self._map is not None:
            weighted = self._map.weighted_sum(query, pixels, self._settings.progress)
        else:
            assert isinstance(self._model, TorchModel)
            trace = self._model.trace_features(pixels, query)
            weights = trace.input_gradients.mean(axis=(1, 2))
            weighted = np.einsum("c,cij->ij", weights, trace.inputs)
        return RegionExplanation("grad-cam", np.maximum(weighted, 0))
