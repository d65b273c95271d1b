"""One training run in several processes (torchrun), each with its own device and its share of every batch.

A run that is alone is the same thing with one process. Called by `loss`, `trainer` and `run`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from clipsight.core.errors import TrainingError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is, and the device it computes on."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether it is this process that writes and prints."""
        return self.rank == 0


@contextmanager
def join(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that torchrun has started beside this one, or be the only one.

    `device` is a torch device, or "auto" for the GPU if there is one; with several processes each takes the
    GPU of its number. They talk by NCCL on GPUs, else by gloo. Within another `join`, it is that one's
    group. Raises TrainingError.
    """
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    begins = "WORLD_SIZE" in os.environ and not dist.is_initialized()
    if begins:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank(), dist.get_world_size() if _several() else 1, chosen)
    finally:
        if begins:
            dist.destroy_process_group()


def gather(rows: Tensor) -> Tensor:
    """float[batch,width] of each process -> float[processes*batch,width], in the order of their ranks.

    Its gradient is the sum of what all processes send back. All must have equally many rows.
    """
    if not _several():
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def gather_objects(items: Sequence[T]) -> list[T]:
    """The items of all processes, in the order of their ranks; they may be of any number and kind."""
    if not _several():
        return list(items)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, list(items))
    return [item for part in parts for item in part]


def mean(value: Tensor) -> Tensor:
    """The mean of a number over all processes."""
    value = value.detach().clone()
    if _several():
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value


def rank() -> int:
    """The number of this process, 0 if it is the only one."""
    return dist.get_rank() if _several() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _device(name: str, local: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda":
            device = torch.device("cuda", local if device.index is None else device.index)
            torch.cuda.set_device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f'the device {name!r} can\'t be used ({reason}); try `device="cpu"`') from error
    return device
