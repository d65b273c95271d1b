"""Data-parallel training with torchrun: process group, and collectives that also work without one."""

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
class Distributed:
    """Rank of this process, number of processes, and device of this process."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True for the one process that writes files and prints."""
        return self.rank == 0


@contextmanager
def init_distributed(device: str = "auto") -> Iterator[Distributed]:
    """Join the process group of torchrun, if any, and leave it at the end.

    `device` is a torch device, or "auto" for the GPU if there is one; under torchrun each process takes the
    GPU of its local rank. The backend is NCCL on GPUs, else gloo. A nested call shares the outer group.
    Raises TrainingError for an unusable device.
    """
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    is_outermost = "WORLD_SIZE" in os.environ and not dist.is_initialized()
    if is_outermost:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Distributed(get_rank(), dist.get_world_size() if _is_distributed() else 1, chosen)
    finally:
        if is_outermost:
            dist.destroy_process_group()


def all_gather(rows: Tensor) -> Tensor:
    """float[batch,width] of each process -> float[world_size*batch,width], in the order of ranks.

    Differentiable: the gradient is summed over all processes. All processes must have the same batch size.
    """
    if not _is_distributed():
        return rows
    gathered: Tensor = _AllGather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def all_gather_objects(items: Sequence[T]) -> list[T]:
    """Items of all processes, in the order of ranks; any picklable items, any number per process."""
    if not _is_distributed():
        return list(items)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, list(items))
    return [item for part in parts for item in part]


def all_reduce_mean(value: Tensor) -> Tensor:
    """Mean of `value` over all processes, detached."""
    value = value.detach().clone()
    if _is_distributed():
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value


def get_rank() -> int:
    """Rank of this process, 0 without a process group."""
    return dist.get_rank() if _is_distributed() else 0


class _AllGather(torch.autograd.Function):
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


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda":
            device = torch.device("cuda", local_rank if device.index is None else device.index)
            torch.cuda.set_device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"the device {name!r} can't be used ({reason}); set `device` to cpu") from error
    return device
