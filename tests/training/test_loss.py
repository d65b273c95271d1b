"""CLIP's loss against its formula, and the gradients of large batches in micro-batches."""

from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.clip.architecture import Architecture
from clipsight.clip.model import CLIP
from clipsight.training.loss import backward, clip_loss, gathered_loss
from tests.support.clip_weights import TINY_RESNET, TINY_VIT, fill, ids, images

pytestmark = pytest.mark.torch

ROWS = 6


def _embeddings(rows: int = ROWS) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    image, text = (F.normalize(torch.randn(rows, 8), dim=1) for _ in range(2))
    return image, text, torch.tensor(7.0)


def _by_hand(image: Tensor, text: Tensor, scale: Tensor, same: np.ndarray) -> float:
    logits = scale.item() * image.double().numpy() @ text.double().numpy().T

    def side(rows: np.ndarray, right: np.ndarray) -> float:
        chances = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
        return float(-(right / right.sum(1, keepdims=True) * np.log(chances)).sum(1).mean())

    return (side(logits, same) + side(logits.T, same.T)) / 2


def test_the_loss_is_that_of_the_paper() -> None:
    embedded = _embeddings()
    expected = _by_hand(*embedded, np.eye(ROWS))
    assert clip_loss(*embedded).item() == pytest.approx(expected, rel=1e-5)
    assert clip_loss(*embedded, torch.eye(ROWS)).item() == pytest.approx(expected, rel=1e-5)
    assert gathered_loss(*embedded).item() == pytest.approx(expected, rel=1e-5)


def test_equal_captions_are_positives_of_several_photos() -> None:
    image, text, scale = _embeddings()
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    same = (labels[:, None] == labels).float()
    expected = _by_hand(image, text, scale, same.numpy())
    assert clip_loss(image, text, scale, same).item() == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(_by_hand(image, text, scale, np.eye(ROWS)), rel=1e-3)


def test_the_mask_of_positives_need_not_be_symmetric() -> None:
    """Caption 0 is true of photo 1 too; caption 1 is not true of photo 0."""
    embedded = _embeddings()
    same = torch.eye(ROWS)
    same[1, 0] = 1
    assert clip_loss(*embedded, same).item() == pytest.approx(_by_hand(*embedded, same.numpy()), rel=1e-5)


def test_half_precision_embeddings_are_compared_in_float32() -> None:
    image, text, scale = _embeddings()
    half = clip_loss(image.bfloat16(), text.bfloat16(), scale)
    assert half.dtype == torch.float32
    expected = clip_loss(image.bfloat16().float(), text.bfloat16().float(), scale)
    torch.testing.assert_close(half, expected)


def _model(architecture: Architecture) -> CLIP:
    model = CLIP(architecture).train()
    fill(model)
    return model


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the gradient of each parameter."""
    found = {name: each.grad for name, each in model.named_parameters()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def _loss_and_gradients(
    model: nn.Module, architecture: Architecture, micro_batch: int | None
) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    loss = backward(model, images(architecture, ROWS), ids(architecture, ROWS), micro_batch)
    return loss, _gradients(model)


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5, 6, 100])
def test_gradients_of_micro_batches_equal_those_of_the_whole_batch(micro_batch: int) -> None:
    model = _model(TINY_VIT)
    whole = clip_loss(*model(images(TINY_VIT, ROWS), ids(TINY_VIT, ROWS)))
    torch.autograd.backward(whole)
    expected = _gradients(model)
    assert expected.keys() == dict(model.named_parameters()).keys()
    loss, found = _loss_and_gradients(model, TINY_VIT, micro_batch)
    assert loss.item() == pytest.approx(whole.item(), abs=1e-6)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-5, name
        assert torch.linalg.norm(found[name] - gradient) <= 1e-4 * torch.linalg.norm(gradient), name


def test_micro_batches_without_the_negatives_of_others_would_differ() -> None:
    """What plain gradient accumulation gives: the test above can fail."""
    model = _model(TINY_VIT)
    _, expected = _loss_and_gradients(model, TINY_VIT, None)
    model.zero_grad()
    for rows in (slice(0, 3), slice(3, 6)):
        part = clip_loss(*model(images(TINY_VIT, ROWS)[rows], ids(TINY_VIT, ROWS)[rows]))
        torch.autograd.backward(part / 2)
    found = _gradients(model)
    assert max((found[name] - gradient).abs().max() for name, gradient in expected.items()) > 1e-3


@pytest.mark.parametrize("tower", ["visual", "text"])
def test_a_locked_tower_gets_no_gradient_with_micro_batches(tower: str) -> None:
    model = _model(TINY_VIT)
    getattr(model, tower).requires_grad_(False)
    _, whole = _loss_and_gradients(model, TINY_VIT, None)
    _, found = _loss_and_gradients(model, TINY_VIT, 2)
    assert found.keys() == whole.keys() and not any(name.startswith(f"{tower}.") for name in found)
    for name, gradient in whole.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


def test_micro_batches_save_memory() -> None:
    """The activations alive at once, as autograd saves them, are a micro-batch's."""
    peaks = []
    for micro_batch in (None, 2):
        alive = peak = 0

        class Kept:
            def __init__(self, tensor: Tensor) -> None:
                nonlocal alive, peak
                self.tensor = tensor
                alive += tensor.numel()
                peak = max(peak, alive)

            def __del__(self) -> None:
                nonlocal alive
                alive -= self.tensor.numel()

        model = _model(replace(TINY_VIT))
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            backward(model, images(TINY_VIT, 12), ids(TINY_VIT, 12), micro_batch)
        peaks.append(peak)
    assert peaks[1] < peaks[0] / 2


def test_a_resnet_is_trained_with_micro_batches() -> None:
    """Its batch normalisation sees micro-batches, so its gradients are its own, but they are all there."""
    model = _model(TINY_RESNET)
    _, found = _loss_and_gradients(model, TINY_RESNET, 3)
    assert found.keys() == dict(model.named_parameters()).keys()
    assert all(torch.isfinite(each).all() for each in found.values())


def test_a_scaled_loss_gives_scaled_gradients_under_autocast() -> None:
    """What a GradScaler asks for; the loss itself comes back as it is."""

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16)

    found = []
    for micro_batch in (None, 4):
        model = _model(TINY_VIT)
        batch = images(TINY_VIT, ROWS), ids(TINY_VIT, ROWS)
        plain = backward(model, *batch, micro_batch, autocast=autocast)
        once = _gradients(model)
        model.zero_grad()
        scaled = backward(model, *batch, micro_batch, autocast=autocast, scale_loss=lambda loss: loss * 1024)
        torch.testing.assert_close(plain, scaled)
        for name, gradient in _gradients(model).items():
            assert torch.allclose(gradient, 1024 * once[name], rtol=0.05, atol=0.05), name
        found.append(plain.item())
    assert found[0] == pytest.approx(found[1], abs=0.05)
