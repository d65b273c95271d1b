"""How weights are changed: the groups AdamW gets, and the learning rate's course. Called by `trainer`."""

import math
from typing import Any

from torch import nn


def rate(step: int, warmup: int, steps: int) -> float:
    """Share of the top learning rate at a step, counted from 0: a linear warm-up, then a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters for AdamW: matrices decay, what is less (norms, biases, the scale) does not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]
