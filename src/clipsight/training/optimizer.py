"""AdamW with parameter groups, gradient clipping, loss scaling and checks for non-finite values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clipsight.core.errors import TrainingError
from clipsight.training.config import Precision
from clipsight.training.distributed import all_reduce_mean

Schedule = Callable[[int], float]
"""Step, counted from 0 -> learning rate."""

Backward = Callable[[Callable[[Tensor], Tensor]], Tensor]
"""Adds the gradients of a loss, passed through the given function (a GradScaler's), and returns the loss."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with one weight decay and one learning rate schedule."""

    parameters: Sequence[nn.Parameter]
    weight_decay: float
    schedule: Schedule


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019) over parameter groups; counts its steps."""

    def __init__(
        self,
        groups: Sequence[ParameterGroup],
        device: torch.device,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        epsilon: float = 1e-6,
        clip_gradient: float = 1.0,
        precision: Precision = "fp32",
    ) -> None:
        """Optimise parameters on `device`; fp16 scales the loss so that small gradients don't vanish."""
        self.step = 0
        """Number of steps taken."""
        self.parameters = [parameter for group in groups for parameter in group.parameters]
        self._schedules = [group.schedule for group in groups]
        self._max_norm = clip_gradient
        options = [{"params": list(each.parameters), "weight_decay": each.weight_decay} for each in groups]
        fused = device.type in ("cpu", "cuda")
        self._adamw = torch.optim.AdamW(options, betas=betas, eps=epsilon, fused=fused)
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    @property
    def rates(self) -> list[float]:
        """Learning rate of each group at the last step."""
        return [group["lr"] for group in self._adamw.param_groups]

    def update(self, backward: Backward) -> tuple[float, float]:
        """Take one step; return the loss, averaged over all processes, and the gradient norm before clipping.

        Raises TrainingError, before any weight changes, if the loss or a gradient is not finite.
        """
        for group, schedule in zip(self._adamw.param_groups, self._schedules, strict=True):
            group["lr"] = schedule(self.step)
        self._adamw.zero_grad()
        loss = backward(self._scaler.scale)
        self._scaler.unscale_(self._adamw)
        norm = nn.utils.clip_grad_norm_(self.parameters, self._max_norm)
        mean_loss, gradient_norm = torch.stack([all_reduce_mean(loss), norm]).tolist()
        if not math.isfinite(mean_loss):
            raise TrainingError(f"the loss is {mean_loss} at step {self.step + 1:,}")
        # fp16 gradients overflow occasionally: the scaler skips the step and lowers its scale.
        if not math.isfinite(gradient_norm) and not self._scaler.is_enabled():
            raise TrainingError(f"the gradient norm is {gradient_norm} at step {self.step + 1:,}")
        self._scaler.step(self._adamw)
        self._scaler.update()
        self.step += 1
        return mean_loss, gradient_norm

    def state_dict(self) -> dict[str, Any]:
        """Step, moments and loss scale, for `load_state_dict` of an optimizer with equal groups."""
        return {"step": self.step, "adamw": self._adamw.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.step = state["step"]
        self._adamw.load_state_dict(state["adamw"])
        self._scaler.load_state_dict(state["scaler"])


def cosine_schedule(step: int, warmup: int, steps: int) -> float:
    """Share of the peak rate at a step, counted from 0: linear warm-up, then cosine decay to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def parameter_groups(model: nn.Module, weight_decay: float, schedule: Schedule) -> list[ParameterGroup]:
    """Trainable parameters: matrices with weight decay; norms, biases and the logit scale without."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        ParameterGroup([each for each in trained if each.ndim >= 2], weight_decay, schedule),
        ParameterGroup([each for each in trained if each.ndim < 2], 0.0, schedule),
    ]
