"""Hyperparameters of a training run."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from clipsight.core.arguments import number, whole_number
from clipsight.core.errors import TrainingError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Tower = Literal["image", "text"]
MIN_CROP = 0.01


@dataclass(frozen=True)
class TrainConfig:
    """Hyperparameters; the defaults are those of Radford et al. 2021, tables 18 and 19.

    The field names are stored in a run's checkpoint: a resumed run must have the same values. Raises
    `TrainingError` for values out of range.
    """

    epochs: int = 32
    batch: int = 256
    """Photos per step, summed over all processes; the paper uses 32,768."""
    micro_batch: int | None = None
    """Photos per forward pass of a process (see `loss.backward`); None for its share of the batch."""
    learning_rate: float = 5e-4
    """Peak learning rate."""
    weight_decay: float = 0.2
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-6
    warmup: int = 2000
    """Steps of linear warm-up; a cosine decay to zero follows."""
    clip_gradient: float = 1.0
    """Maximum norm of all gradients together."""
    precision: Precision = "auto"
    """Autocast precision; "auto" is bf16 if the GPU supports it, fp16 on other GPUs, fp32 on the CPU."""
    crop: float = 0.9
    """Minimum share of a photo's area that a random crop keeps."""
    lock: Tower | None = None
    """Tower that is not trained (LiT, Zhai et al. 2022, locks the image tower)."""
    max_bad: float = 0.01
    """Maximum share of unreadable or uncaptioned photos; with more, the run fails."""
    seed: int = 0

    def __post_init__(self) -> None:
        whole = partial(whole_number, required=True, error=TrainingError)
        whole(self.epochs, "epochs", minimum=1)
        whole(self.batch, "batch", minimum=2)
        whole(self.warmup, "warmup")
        whole(self.seed, "seed")
        whole_number(self.micro_batch, "micro_batch", minimum=1, error=TrainingError)
        check = partial(number, minimum=0, error=TrainingError)
        for name in ("learning_rate", "weight_decay", "epsilon", "clip_gradient"):
            check(getattr(self, name), name)
        check(self.crop, "crop", minimum=MIN_CROP, maximum=1)
        check(self.max_bad, "max_bad", maximum=1)

    def precision_on(self, device: "torch.device") -> Precision:
        """Precision on `device`, with auto resolved."""
        import torch

        if self.precision != "auto":
            return self.precision
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
