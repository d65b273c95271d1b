"""How weights are changed: AdamW, each group at its own rate, clipped, and never by what is no number.

Called by `trainer`, and by recipes with models of their own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clipsight.core.errors import TrainingError
from clipsight.training.config import Precision
from clipsight.training.distributed import mean

Rate = Callable[[int], float]
"""From a step, counted from 0, to its learning rate."""

Backward = Callable[[Callable[[Tensor], Tensor]], Tensor]
"""Adds the gradients of a loss, of which the callable's value is taken instead (a GradScaler's); the loss."""


@dataclass(frozen=True)
class Group:
    """Parameters that learn at one rate."""

    parameters: Sequence[nn.Parameter]
    weight_decay: float
    rate: Rate


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019) over groups of parameters, and the number of steps it has taken."""

    def __init__(
        self,
        groups: Sequence[Group],
        device: torch.device,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        epsilon: float = 1e-6,
        clip_gradient: float = 1.0,
        precision: Precision = "fp32",
    ) -> None:
        """The parameters are on `device`; `precision` fp16 scales the loss, so that small gradients last."""
        self.step = 0
        self.parameters = [parameter for group in groups for parameter in group.parameters]
        self._rates = [group.rate for group in groups]
        self._clip = clip_gradient
        options = [{"params": list(each.parameters), "weight_decay": each.weight_decay} for each in groups]
        fused = device.type in ("cpu", "cuda")
        self._adamw = torch.optim.AdamW(options, betas=betas, eps=epsilon, fused=fused)
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    @property
    def rates(self) -> list[float]:
        """The learning rate of each group at the last step."""
        return [group["lr"] for group in self._adamw.param_groups]

    def update(self, backward: Backward) -> tuple[float, float]:
        """One step: the loss, the mean of all processes, and the norm of its gradients before clipping.

        Raises TrainingError, before any weight is changed, where one of them is no number.
        """
        for group, rate in zip(self._adamw.param_groups, self._rates, strict=True):
            group["lr"] = rate(self.step)
        self._adamw.zero_grad()
        loss = backward(self._scaler.scale)
        self._scaler.unscale_(self._adamw)
        norm = nn.utils.clip_grad_norm_(self.parameters, self._clip)
        told, length = torch.stack([mean(loss), norm]).tolist()
        if not math.isfinite(told):
            raise TrainingError(f"the loss is {told} at step {self.step + 1:,}")
        # Gradients out of fp16's range are usual: the scaler leaves the step out and lowers its factor.
        if not math.isfinite(length) and not self._scaler.is_enabled():
            raise TrainingError(f"the gradients are no numbers at step {self.step + 1:,}")
        self._scaler.step(self._adamw)
        self._scaler.update()
        self.step += 1
        return told, length

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` of another with equal groups takes, to go on the same way."""
        return {"step": self.step, "adamw": self._adamw.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self._adamw.load_state_dict(state["adamw"])
        self._scaler.load_state_dict(state["scaler"])


def cosine(step: int, warmup: int, steps: int) -> float:
    """Share of the top learning rate at a step, counted from 0: a linear warm-up, then a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def decaying_groups(model: nn.Module, weight_decay: float, rate: Rate) -> list[Group]:
    """The trained parameters: matrices decay, what is less (norms, biases, the scale) does not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        Group([each for each in trained if each.ndim >= 2], weight_decay, rate),
        Group([each for each in trained if each.ndim < 2], 0.0, rate),
    ]
