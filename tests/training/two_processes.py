"""What `test_distributed` runs with torchrun, as `two_processes.py OUT DATA ARCH`.

Each process takes its half of one batch, and then of a training run; the first writes what came of it.
"""

import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from clipsight.clip.model import CLIP
from clipsight.training.config import TrainConfig
from clipsight.training.distributed import (
    Distributed,
    all_gather,
    all_gather_objects,
    all_reduce_mean,
    init_distributed,
)
from clipsight.training.loss import backward
from clipsight.training.train import train
from tests.support.clip_weights import TINY_VIT, fill, ids, images

ROWS = 8
CONFIG = TrainConfig(epochs=2, batch=8, learning_rate=1e-3, micro_batch=3)


def gradients(out: Path, distributed: Distributed) -> None:
    """The loss and gradients of the whole batch, at once and in micro-batches."""
    share = ROWS // distributed.world_size
    mine = slice(distributed.rank * share, (distributed.rank + 1) * share)
    found = {}
    for name, micro_batch in (("whole", None), ("pieces", 1), ("uneven", 3)):
        model = CLIP(TINY_VIT).train()
        fill(model)
        wrapped = DistributedDataParallel(model)
        loss = backward(wrapped, images(TINY_VIT, ROWS)[mine], ids(TINY_VIT, ROWS)[mine], micro_batch)
        found[name] = {key: each.grad for key, each in model.named_parameters()}
        found[name]["loss"] = all_reduce_mean(loss)
    found["ranks"] = {"gathered": all_gather(torch.full((2, 1), float(distributed.rank)))}
    assert all_gather_objects([distributed.rank] * (distributed.rank + 1)) == [0, 1, 1]
    if distributed.is_main:
        torch.save(found, out / "gradients.pt")


if __name__ == "__main__":
    out, data, arch = sys.argv[1:]
    with init_distributed("cpu") as joined:
        gradients(Path(out), joined)
        train(data, Path(out) / "run", arch=arch, config=CONFIG, hold_out=7, workers=1, device="cpu")
