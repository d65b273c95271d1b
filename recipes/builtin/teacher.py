"""The English teacher of the multilingual tower: a trained `Builtin` with ConSE as a part of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .joint import Parts, axes_of, join
from .model import FLOOR, TAP_WIDTH, Builtin
from .texts import encode, mean_vectors, tokenise
from .towers import TextTower

_CHUNK = 4096


class Teacher:
    """Joined embeddings of photos, from their pooled features, and of English texts."""

    def __init__(self, model: Builtin, published: TextTower, parts: Parts, caption_axes: Tensor):
        """Shorten `model` to `caption_axes`; ConSE's axes are those of the class names."""
        model.shorten(caption_axes)
        self.model, self.published, self.parts = model.eval(), published.eval(), parts
        self.conse_axes = axes_of(model.classes, parts.conse)
        self.classes = model.classes @ self.conse_axes.T
        """The class names' embeddings, float[1000,parts.conse]."""

    @torch.no_grad()
    def photos(self, pooled: Tensor) -> NDArray[np.float32]:
        """Pooled features of all taps, float[n,FEATURES] -> unit float32[n,parts.width]."""
        caption = self.model.encode_pooled(pooled)
        shares = F.relu(self.model.image.classifier(pooled[:, TAP_WIDTH:]).softmax(-1) - FLOOR)
        found: NDArray[np.float32] = join(caption, shares @ self.classes, self.parts.weight).numpy()
        return found

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """English texts -> unit float32[n,parts.width]."""
        parts = []
        for start in range(0, len(texts), _CHUNK):
            rows = tokenise(texts[start : start + _CHUNK])
            known = mean_vectors(self.published, rows) @ self.conse_axes.T
            parts.append(join(encode(self.model, rows), known, self.parts.weight).numpy())
        return np.concatenate([np.empty((0, self.parts.width), np.float32), *parts])
