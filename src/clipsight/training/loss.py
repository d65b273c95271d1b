"""Contrastive loss of CLIP, and its gradients for batches larger than memory or spread over processes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.training.distributed import all_gather, get_rank

Autocast = Callable[[], AbstractContextManager[object]]


def clip_loss(images: Tensor, texts: Tensor, scale: Tensor, positives: Tensor | None = None) -> Tensor:
    """Symmetric cross entropy over scaled cosines (Radford et al. 2021, figure 3), a scalar.

    `images` and `texts` are unit float[batch,width]; row i of both is a pair. `scale` multiplies the cosines.
    If captions are true of several photos, `positives`, float[batch,batch], is 1 where photo i and caption j
    match (always on the diagonal) and 0 elsewhere; the target probability is divided evenly among the
    matches. Without it, or with the diagonal alone, this is exactly CLIP's loss.
    """
    logits = scale * images.float() @ texts.float().T
    if positives is None:
        targets = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    by_image = F.cross_entropy(logits, positives / positives.sum(1, keepdim=True))
    by_text = F.cross_entropy(logits.T, positives.T / positives.T.sum(1, keepdim=True))
    return (by_image + by_text) / 2


def gathered_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """This process's part of `clip_loss` over the batches of all processes together, a scalar.

    Each process compares its own rows, unit float[batch,width], with the rows of all processes. The mean of
    the parts is the loss of the whole batch, and the mean of their gradients, which DistributedDataParallel
    computes, is its gradient.
    """
    images, texts = images.float(), texts.float()
    targets = get_rank() * len(images) + torch.arange(len(images), device=images.device)
    by_image = F.cross_entropy(scale * images @ all_gather(texts).T, targets)
    by_text = F.cross_entropy(scale * texts @ all_gather(images).T, targets)
    return (by_image + by_text) / 2


def backward(
    model: nn.Module,
    images: Tensor,
    ids: Tensor,
    micro_batch: int | None = None,
    *,
    autocast: Autocast = nullcontext,
    scale_loss: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Tensor:
    """Add the gradients of `gathered_loss` to the parameters of `model`; return the loss, a detached scalar.

    `model(images, ids)` returns what `CLIP.forward` returns; DistributedDataParallel may wrap it.
    `scale_loss` is a GradScaler's. With a `micro_batch` smaller than the batch, memory is that of a
    micro-batch while the gradients are those of the whole batch (GradCache, Gao et al. 2021,
    arXiv:2101.06983), for a third more time: all embeddings are computed without a graph, then the loss's
    gradients with respect to them are propagated through one micro-batch after another. The forward pass must
    be deterministic and independent for each row: no dropout, and no batch normalisation (a ResNet's sees
    micro-batches).
    """
    size = len(images) if micro_batch is None else micro_batch
    if size >= len(images):
        with autocast():
            outputs = model(images, ids)
        loss = gathered_loss(*outputs)
        scale_loss(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    micro_batches = list(zip(torch.split(images, size), torch.split(ids, size), strict=True))
    with torch.no_grad(), autocast():
        # Unwrapped: DistributedDataParallel expects a backward pass after each forward pass.
        unwrapped = getattr(model, "module", model)
        cached = [unwrapped(*each) for each in micro_batches]
    sizes = [len(images) for images, _ in micro_batches]
    embeddings = [torch.cat([image for image, _, _ in cached]), torch.cat([text for _, text, _ in cached])]
    leaves = [tensor.requires_grad_() for tensor in (*embeddings, cached[0][2].clone())]
    loss = gathered_loss(*leaves)
    of_images, of_texts, of_scale = torch.autograd.grad(scale_loss(loss), leaves)
    gradients = zip(torch.split(of_images, sizes), torch.split(of_texts, sizes), strict=True)
    for number, (inputs, of_embeddings) in enumerate(zip(micro_batches, gradients, strict=True), start=1):
        defer_sync = number < len(micro_batches) and hasattr(model, "no_sync")  # all-reduce once, at the end
        with model.no_sync() if defer_sync else nullcontext():  # type: ignore[operator]
            with autocast():
                outputs = model(*inputs)
            pairs = zip(outputs, (*of_embeddings, of_scale / len(micro_batches)), strict=True)
            # The outputs of a locked tower require no gradient.
            trained = [(output, gradient) for output, gradient in pairs if output.requires_grad]
            torch.autograd.backward([output for output, _ in trained], [gradient for _, gradient in trained])
    return loss.detach()
