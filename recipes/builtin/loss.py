"""Regularisers added to CLIP's loss to preserve the knowledge of the pretrained towers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def forgetting_loss(logits: Tensor, before: Tensor) -> Tensor:
    """KL divergence of the trained classifier from the published one (Li & Hoiem 2016, arXiv:1606.09282).

    `logits` and `before`, probabilities, are float[batch,classes]; returns a scalar.
    """
    return F.kl_div(logits.log_softmax(1), before, reduction="batchmean")


def naming_loss(cosines: Tensor, scale: Tensor, before: Tensor) -> Tensor:
    """Distillation (Hinton et al. 2015) of the published classifier into cosines with class names.

    `cosines` and `before`, the probabilities of a subset of the classes, are float[batch,names]; a photo is
    weighted by the total probability of that subset. Returns a scalar.
    """
    covered = before.sum(1, keepdim=True)
    wanted = before / covered.clamp(min=1e-6)
    rows = F.kl_div((scale * cosines).log_softmax(1), wanted, reduction="none").sum(1, keepdim=True)
    return (covered * rows).mean()


def ranking_loss(cosines: Tensor, scale: Tensor, before: Tensor, scale_before: float) -> Tensor:
    """KL divergence of each word's ranking of a batch's photos from its ranking before training.

    `cosines` and `before` are float[words,batch]; returns a scalar. Without it, words that occur in no
    caption drift to dense regions and all retrieve the same photos.
    """
    wanted = (scale_before * before).softmax(1)
    return F.kl_div((scale * cosines).log_softmax(1), wanted, reduction="batchmean")


def anchor_loss(texts: Tensor, before: Tensor) -> Tensor:
    """Mean of 1 - cosine between text embeddings now and before, unit float[batch,width]; a scalar."""
    return 1 - (texts * before).sum(1).mean()


def same_label(labels: Tensor) -> Tensor:
    """int[batch] -> float[batch,batch], 1 where two rows have the same label."""
    return torch.eq(labels[:, None], labels[None, :]).float()
