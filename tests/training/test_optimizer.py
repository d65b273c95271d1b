"""Optimizer steps: learning rates, groups, clipping, and gradients that are not finite."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from clipsight.clip.model import CLIP
from clipsight.core.errors import TrainingError
from clipsight.training.config import Precision
from clipsight.training.optimizer import Optimizer, ParameterGroup, cosine_schedule, parameter_groups
from tests.support.clip_weights import TINY_VIT

pytestmark = pytest.mark.torch

CPU = torch.device("cpu")


def _optimizer(model: nn.Module, precision: Precision = "fp32") -> Optimizer:
    weight, bias = model.parameters()
    groups = [
        ParameterGroup([weight], 0.2, lambda step: 0.1 / (step + 1)),
        ParameterGroup([bias], 0.0, lambda step: 0.05),
    ]
    return Optimizer(groups, CPU, clip_gradient=0.5, precision=precision)


def _backward(model: nn.Module, factor: float = 1.0) -> Callable[[Callable[[Tensor], Tensor]], Tensor]:
    def gradients(scaled: Callable[[Tensor], Tensor]) -> Tensor:
        loss: Tensor = factor * model(torch.ones(2, 3)).square().mean()
        torch.autograd.backward(scaled(loss))
        return loss

    return gradients


def _model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 4)


def test_steps_equal_those_of_adamw_with_clipped_gradients() -> None:
    model, other = _model(), _model()
    optimizer = _optimizer(model)
    plain = torch.optim.AdamW(
        [{"params": [other.weight], "weight_decay": 0.2}, {"params": [other.bias], "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        eps=1e-6,
    )
    for step in range(5):
        loss, norm = optimizer.update(_backward(model))
        plain.param_groups[0]["lr"], plain.param_groups[1]["lr"] = 0.1 / (step + 1), 0.05
        plain.zero_grad()
        expected = other(torch.ones(2, 3)).square().mean()
        expected.backward()
        assert norm == pytest.approx(nn.utils.clip_grad_norm_(other.parameters(), 0.5).item())
        plain.step()
        assert loss == pytest.approx(expected.item())
        assert torch.allclose(model.weight, other.weight) and torch.allclose(model.bias, other.bias)
    assert optimizer.step == 5 and optimizer.rates == [0.1 / 5, 0.05]


@pytest.mark.parametrize(
    ("factor", "said"), [(float("nan"), "the loss is nan"), (1e30, "the loss is inf|gradient norm is")]
)
def test_gradients_that_are_not_finite_change_no_weight(factor: float, said: str) -> None:
    model = _model()
    before = copy.deepcopy(model.state_dict())
    optimizer = _optimizer(model)
    with pytest.raises(TrainingError, match=rf"{said}.* at step 1"):
        optimizer.update(_backward(model, factor * factor))
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_half_precision_skips_steps_whose_gradients_overflow() -> None:
    model = _model()
    before = copy.deepcopy(model.state_dict())
    optimizer = _optimizer(model, "fp16")
    _, norm = optimizer.update(_backward(model, 3e34))  # times the scaler's 65,536: infinite
    assert norm == float("inf") and torch.equal(model.weight, before["weight"])
    for _ in range(3):
        optimizer.update(_backward(model))
    assert not torch.equal(model.weight, before["weight"])


def test_a_new_optimizer_continues_from_a_saved_state() -> None:
    model = _model()
    optimizer = _optimizer(model)
    optimizer.update(_backward(model))
    twin = copy.deepcopy(model)
    other = _optimizer(twin)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, its in ((optimizer, model), (other, twin)):
        each.update(_backward(its))
    assert other.step == 2 and torch.equal(model.weight, twin.weight)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    rates = [cosine_schedule(step, 4, 12) for step in range(12)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0 and rates[8] == pytest.approx(0.5) and 0 < rates[11] < 0.05
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert cosine_schedule(0, 0, 1) == 1.0


def test_only_matrices_decay() -> None:
    model = CLIP(TINY_VIT)
    model.visual.requires_grad_(False)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, kept = (
        {names[id(each)] for each in group.parameters}
        for group in parameter_groups(model, 0.2, lambda step: 1.0)
    )
    learning = {name for name in names.values() if not name.startswith("visual.")}
    assert decayed | kept == learning and not decayed & kept
    assert {"logit_scale", "text.ln_final.weight"} <= kept
    assert all(name in kept for name in learning if name.endswith("bias") or ".ln_" in name)
    assert {"text.token_embedding.weight"} <= decayed
