"""What a training run is asked for. Called by `trainer`, `run` and `cli`."""

from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Tower = Literal["image", "text"]


@dataclass(frozen=True)
class Settings:
    """What decides a run's result, beside its data; the defaults are the paper's (tables 18 and 19)."""

    epochs: int = 32
    batch: int = 256
    """Photos a step, of all processes together; the paper's is 32,768."""
    micro_batch: int | None = None
    """Photos at once in a process (see `loss.backward`); None for its whole share of the batch."""
    learning_rate: float = 5e-4
    weight_decay: float = 0.2
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-6
    warmup: int = 2000
    """Steps in which the learning rate rises from zero; it then falls to zero along a cosine."""
    clip_gradient: float = 1.0
    """Largest norm of all gradients together."""
    precision: Precision = "auto"
    """Of autocast; auto is bf16 where the GPU has it, fp16 on other GPUs, fp32 on the CPU."""
    crop: float = 0.9
    lock: Tower | None = None
    """The tower that is not trained (LiT, Zhai et al. 2022, locks the image tower)."""
    max_bad: float = 0.01
    """Share of unreadable or uncaptioned photos above which the run fails."""
    seed: int = 0

    def precision_on(self, device: torch.device) -> Precision:
        """The precision that auto means there."""
        if self.precision != "auto":
            return self.precision
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
