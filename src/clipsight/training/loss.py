"""CLIP's loss, and its gradients for batches that are larger than memory or spread over processes.

Called by `trainer`, and by recipes with models of their own.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.training.distributed import gather, rank

Autocast = Callable[[], AbstractContextManager[object]]


def clip_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor | None = None) -> Tensor:
    """Symmetric cross entropy over scaled cosines (Radford et al. 2021, figure 3).

    `images` and `texts` are unit float[batch,width], row i of both one pair, and `scale` the factor of the
    cosines. Where one caption is true of several photos, `same`, float[batch,batch], is 1 where photo i and
    caption j belong together (the diagonal always does), and the right answer is shared evenly among those;
    without it, or with the diagonal alone, this is CLIP's loss to the letter.
    """
    logits = scale * images.float() @ texts.float().T
    if same is None:
        own = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    by_image = F.cross_entropy(logits, same / same.sum(1, keepdim=True))
    by_text = F.cross_entropy(logits.T, same.T / same.T.sum(1, keepdim=True))
    return (by_image + by_text) / 2


def gathered_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """`clip_loss` of the batches of all processes together, this process's part of it.

    Each process compares its own rows with the rows of all; the mean of the parts is the loss of the whole
    batch, and the mean of their gradients, which DistributedDataParallel takes, is its gradient.
    """
    images, texts = images.float(), texts.float()
    own = rank() * len(images) + torch.arange(len(images), device=images.device)
    by_image = F.cross_entropy(scale * images @ gather(texts).T, own)
    by_text = F.cross_entropy(scale * texts @ gather(images).T, own)
    return (by_image + by_text) / 2


def backward(
    model: nn.Module,
    images: Tensor,
    ids: Tensor,
    micro_batch: int | None = None,
    *,
    autocast: Autocast = nullcontext,
    scaled: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Tensor:
    """Add the gradients of `gathered_loss` to the parameters of `model`; return the loss.

    `model(images, ids)` gives what `CLIP` gives; DistributedDataParallel may be around it. With a
    `micro_batch` that is smaller than the batch, memory is that of a micro-batch and the gradients are still
    those of the whole batch, each photo against all its captions: all is embedded first without
    remembering how, then the loss's gradients with respect to the embeddings are carried through one
    micro-batch after another (GradCache, Gao et al. 2021, arXiv:2101.06983), a third more time. That needs a
    model that computes the same thing twice and each row by itself: no dropout, and no batch
    normalisation, which a ResNet has and which then sees micro-batches. `scaled` is a GradScaler's.
    """
    size = len(images) if micro_batch is None else micro_batch
    if size >= len(images):
        with autocast():
            embedded = model(images, ids)
        loss = gathered_loss(*embedded)
        scaled(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    pieces = list(zip(torch.split(images, size), torch.split(ids, size), strict=True))
    with torch.no_grad(), autocast():
        bare = getattr(model, "module", model)  # DistributedDataParallel expects a backward pass after each
        outputs = [bare(*piece) for piece in pieces]
    sizes = [len(piece[0]) for piece in pieces]
    whole = [torch.cat([image for image, _, _ in outputs]), torch.cat([text for _, text, _ in outputs])]
    leaves = [tensor.requires_grad_() for tensor in (*whole, outputs[0][2].clone())]
    loss = gathered_loss(*leaves)
    wanted = torch.autograd.grad(scaled(loss), leaves)
    shares = zip(torch.split(wanted[0], sizes), torch.split(wanted[1], sizes), strict=True)
    for number, (piece, (of_images, of_texts)) in enumerate(zip(pieces, shares, strict=True), start=1):
        quiet = number < len(pieces) and hasattr(model, "no_sync")  # gradients are exchanged once
        with model.no_sync() if quiet else nullcontext():  # type: ignore[operator]
            with autocast():
                again = model(*piece)
            gradients = (of_images, of_texts, wanted[2] / len(pieces))
            # A locked tower's output has no gradient to take.
            learning = [(out, g) for out, g in zip(again, gradients, strict=True) if out.requires_grad]
            torch.autograd.backward([out for out, _ in learning], [g for _, g in learning])
    return loss.detach()
