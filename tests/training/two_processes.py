"""What `test_distributed` runs with torchrun, as `two_processes.py OUT DATA ARCH`.

Each process takes its half of one batch, and then of a training run; the first writes what came of it.
"""

import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from clipsight.clip.model import CLIP
from clipsight.training.config import Settings
from clipsight.training.distributed import Processes, gather, gather_objects, join, mean
from clipsight.training.loss import backward
from clipsight.training.train import train
from tests.support.clip_weights import TINY_VIT, fill, ids, images

ROWS = 8
SETTINGS = Settings(epochs=2, batch=8, learning_rate=1e-3, micro_batch=3)


def gradients(out: Path, processes: Processes) -> None:
    """The loss and gradients of the whole batch, at once and in micro-batches."""
    share = ROWS // processes.count
    mine = slice(processes.rank * share, (processes.rank + 1) * share)
    found = {}
    for name, micro_batch in (("whole", None), ("pieces", 1), ("uneven", 3)):
        model = CLIP(TINY_VIT).train()
        fill(model)
        wrapped = DistributedDataParallel(model)
        loss = backward(wrapped, images(TINY_VIT, ROWS)[mine], ids(TINY_VIT, ROWS)[mine], micro_batch)
        found[name] = {key: each.grad for key, each in model.named_parameters()}
        found[name]["loss"] = mean(loss)
    found["ranks"] = {"gathered": gather(torch.full((2, 1), float(processes.rank)))}
    assert gather_objects([processes.rank] * (processes.rank + 1)) == [0, 1, 1]
    if processes.is_first:
        torch.save(found, out / "gradients.pt")


if __name__ == "__main__":
    out, data, arch = sys.argv[1:]
    with join("cpu") as joined:
        gradients(Path(out), joined)
        train(data, Path(out) / "run", arch=arch, settings=SETTINGS, hold_out=7, workers=1, device="cpu")
