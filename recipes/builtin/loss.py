"""What training adds to CLIP's loss, so that what the towers knew before is kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def forgetting_loss(logits: Tensor, before: Tensor) -> Tensor:
    """How far the trained classifier has moved from the published one's probabilities (Li & Hoiem 2016)."""
    return F.kl_div(logits.log_softmax(1), before, reduction="batchmean")


def naming_loss(cosines: Tensor, scale: Tensor, before: Tensor) -> Tensor:
    """How far photos' likeness to class names is from the published classifier's probabilities.

    `cosines` and `before` are float[batch,names], the probabilities of some of the classes. It is
    distillation (Hinton et al. 2015) from a classifier into a space of words; a photo counts by the
    probability that its class is among these at all.
    """
    covered = before.sum(1, keepdim=True)
    wanted = before / covered.clamp(min=1e-6)
    rows = F.kl_div((scale * cosines).log_softmax(1), wanted, reduction="none").sum(1, keepdim=True)
    return (covered * rows).mean()


def ranking_loss(cosines: Tensor, scale: Tensor, before: Tensor, scale_before: float) -> Tensor:
    """How far words rank a batch's photos from how they were ranked before training.

    `cosines` and `before` are float[words,batch]. Without it, words that no caption holds drift to wherever
    photos are many, and all find the same few.
    """
    wanted = (scale_before * before).softmax(1)
    return F.kl_div((scale * cosines).log_softmax(1), wanted, reduction="batchmean")


def anchor_loss(texts: Tensor, before: Tensor) -> Tensor:
    """Mean of 1 - cosine between unit vectors of words now and as the published text tower put them."""
    return 1 - (texts * before).sum(1).mean()


def same_label(labels: Tensor) -> Tensor:
    """int[batch] -> float[batch,batch], 1 where two rows have one label."""
    return torch.eq(labels[:, None], labels[None, :]).float()
