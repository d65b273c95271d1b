"""One embedding of two parts: what training on captions taught, and what the towers knew before (ConSE).

Both parts are unit vectors, scaled so that their concatenation is one: the cosine of a photo and a text is
the weighted mean of the two parts' cosines. Training can improve the first part and cannot forget the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Parts:
    """Sizes of the two parts, and the share of the second in a cosine."""

    caption: int = 160
    conse: int = 96
    weight: float = 0.3

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return self.caption + self.conse


def join(caption: Tensor, conse: Tensor, weight: float) -> Tensor:
    """float[n,caption] and float[n,conse], of any length -> unit float[n,caption+conse]."""
    first, second = F.normalize(caption, dim=-1), F.normalize(conse, dim=-1)
    joined = torch.cat([first * (1 - weight) ** 0.5, second * weight**0.5], -1)
    return F.normalize(joined, dim=-1)  # a photo of no class that ConSE knows has no second part


def split(embeddings: Tensor, parts: Parts) -> tuple[Tensor, Tensor]:
    """The two unit parts of joined embeddings."""
    first, second = embeddings.split([parts.caption, parts.conse], -1)
    return F.normalize(first, dim=-1), F.normalize(second, dim=-1)


def axes_of(vectors: Tensor, count: int) -> Tensor:
    """First `count` principal axes about the origin, float[count,width]."""
    _, axes = torch.linalg.eigh((vectors.T @ vectors).double())
    return axes.flip(1)[:, :count].T.float().contiguous()
