"""CLIP's loss, for batches in which one caption may be true of several photos."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def clip_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric cross entropy over cosines (Radford et al. 2021, figure 3).

    `images` and `texts` are unit float[batch,width], `scale` the factor of the cosines, and `same`
    float[batch,batch] is 1 where photo i and caption j belong together. Where that is the diagonal alone
    this is CLIP's loss to the letter; where ten photos are all "black t-shirt" the right answer is shared
    evenly among them.
    """
    logits = scale * images @ texts.T
    by_image = (same / same.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_text = (same / same.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return -(by_image + by_text) / 2


def forgetting_loss(logits: Tensor, before: Tensor) -> Tensor:
    """How far the trained classifier has moved from the published one's probabilities (Li & Hoiem 2016)."""
    return F.kl_div(logits.log_softmax(1), before, reduction="batchmean")


def anchor_loss(texts: Tensor, before: Tensor) -> Tensor:
    """Mean of 1 - cosine between words now and words as the published text tower put them."""
    return 1 - (texts * F.normalize(before, dim=1)).sum(1).mean()


def same_label(labels: Tensor) -> Tensor:
    """int[batch] -> float[batch,batch], 1 where two rows have one label."""
    return torch.eq(labels[:, None], labels[None, :]).float()
