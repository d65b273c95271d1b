"""The dual encoder: two pretrained towers, ConSE, and trained heads.

The image side starts as ConSE (Norouzi et al. 2014): the photo's ImageNet class probabilities weigh the text
embeddings of the class names. A linear map and a one-hidden-layer residual of pooled features, taken at
several depths because colour and texture are gone at the last, are added to it. Both heads start at zero,
so training starts from a model that already searches for a thousand things.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .towers import ImageTower, TextTower

TAPS = (6, 10, 14, 19, 20)
"""Blocks of the image tower whose output is pooled, in addition to the last convolution's."""

TRAINED_FROM = 19
"""First trained block of the image tower; the output of the earlier ones is cached (features.py)."""

TAP_WIDTH = 48 + 88 + 120 + 208 + 352
WIDTH = 384
"""Embedding width in training: the text tower's, so that both heads can start as the identity."""

SHIPPED_WIDTH = 256
"""Embedding width of the shipped model, after `Builtin.shorten` (the model card compares widths)."""

FROZEN_WIDTH = 48 + 88 + 120
FEATURES = TAP_WIDTH + 1280
FLOOR = 0.003
"""Probability below which ConSE ignores a class; the paper takes the top ten, which needs a sort."""


class ImageHead(nn.Module):
    """Pooled features float[batch,FEATURES], class mixture float[batch,WIDTH] -> float[batch,WIDTH]."""

    def __init__(self, hidden: int, dropout: float):
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("std", torch.ones(FEATURES))
        self.linear = nn.Linear(FEATURES, WIDTH)
        self.up = nn.Linear(FEATURES, hidden)
        self.down = nn.Linear(hidden, WIDTH)
        self.mixture = nn.Linear(WIDTH, WIDTH, bias=False)
        self.dropout = dropout
        nn.init.normal_(self.linear.weight, std=0.002)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        with torch.no_grad():
            self.mixture.weight.copy_(torch.eye(WIDTH))

    def forward(self, pooled: Tensor, mixture: Tensor) -> Tensor:
        x = ((pooled - self.mean) / self.std).clamp(-6, 6)
        x = F.dropout(x, self.dropout / 2, self.training)
        residual = self.down(F.dropout(F.gelu(self.up(x)), self.dropout, self.training))
        return self.linear(x) + residual + self.mixture(mixture)


class TextHead(nn.Module):
    """Mean token vector float[batch,WIDTH] -> float[batch,WIDTH]; the identity at the start."""

    def __init__(self, hidden: int, dropout: float):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.up = nn.Linear(WIDTH, hidden)
        self.down = nn.Linear(hidden, WIDTH)
        self.dropout = dropout
        nn.init.zeros_(self.linear.bias)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = F.normalize(x, dim=1)
        return self.linear(x) + self.down(F.dropout(F.gelu(self.up(x * 6.0)), self.dropout, self.training))


class Builtin(nn.Module):
    """Dual encoder of photos and text with one embedding space."""

    def __init__(self, image: ImageTower, text: TextTower, classes: Tensor, hidden: int, dropout: float):
        super().__init__()
        self.image, self.text = image, text
        self.image_head = ImageHead(hidden, dropout)
        self.text_head = TextHead(hidden // 2, dropout)
        self.register_buffer("classes", classes)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))

    def mixture(self, last: Tensor) -> Tensor:
        """ConSE: pooled last maps float[batch,1280] -> unit float[batch,WIDTH]."""
        return self.mix(self.image.classifier(last).softmax(-1))

    def mix(self, probabilities: Tensor) -> Tensor:
        """ConSE: class probabilities float[batch,1000] -> unit float[batch,WIDTH]."""
        return F.normalize(F.relu(probabilities - FLOOR) @ self.classes, dim=-1)

    @torch.no_grad()
    def shorten(self, axes: Tensor) -> None:
        """Fold a projection on `axes`, float[count,WIDTH], into the last linear maps of both heads."""
        head, words = self.image_head, self.text_head
        for layer in (head.linear, head.down, head.mixture, words.linear, words.down):
            layer.weight = nn.Parameter(axes @ layer.weight)
            layer.out_features = len(axes)
            if layer.bias is not None:
                layer.bias = nn.Parameter(axes @ layer.bias)

    def pool_maps(self, maps: Tensor, frozen: Tensor) -> Tensor:
        """Trained blocks: input float[batch,208,9,9] and frozen features -> float[batch,FEATURES]."""
        pooled, x = [frozen], maps
        for i in range(TRAINED_FROM, len(self.image.blocks)):
            x = self.image.blocks[i](x)
            if i in TAPS:
                pooled.append(x.mean((2, 3)).float())
        pooled.append(F.relu6(self.image.head(x)).mean((2, 3)).float())
        return torch.cat(pooled, 1)

    def encode_pooled(self, pooled: Tensor) -> Tensor:
        """Pooled features of all taps, float[batch,FEATURES] -> unit float[batch,WIDTH]."""
        return F.normalize(self.image_head(pooled, self.mixture(pooled[:, TAP_WIDTH:])), dim=-1)

    def encode_tokens(self, ids: Tensor) -> Tensor:
        """Token ids int[batch,sequence] -> unit float[batch,WIDTH]."""
        return F.normalize(self.text_head(self.text(ids).float()), dim=-1)
