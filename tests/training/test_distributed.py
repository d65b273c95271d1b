"""Two processes with gloo against one: the same loss, gradients and training run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clipsight.clip.model import CLIP
from clipsight.core.errors import TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.distributed import all_gather, all_gather_objects, all_reduce_mean, init_distributed
from clipsight.training.loss import clip_loss
from clipsight.training.run_log import read_metrics
from clipsight.training.train import train
from clipsight.training.trainer import LAST, read_state
from tests.support import pictures
from tests.support.clip_weights import SMALL_CONFIG, TINY_VIT, fill, ids, images
from tests.training.two_processes import CONFIG, ROWS

pytestmark = pytest.mark.torch

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes, started by torchrun, have left, and what they were given."""
    out = tmp_path_factory.mktemp("two")
    data = pictures.write(out / "data", pictures.scenes(colour=3, shape=2, size=1, place=2, count=2), 1, 16)
    (out / "arch.json").write_text(json.dumps(SMALL_CONFIG))
    root = SCRIPT.parents[2]
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    started = subprocess.Popen(
        [sys.executable, *command, out, data, out / "arch.json"],  # type: ignore[list-item]
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = started.communicate(timeout=300)
    finally:
        started.terminate()  # torchrun ends its processes
    assert started.returncode == 0, said
    return out


@pytest.mark.process
@pytest.mark.parametrize("way", ["whole", "pieces", "uneven"])
def test_loss_and_gradients_equal_those_of_a_single_process(folder: Path, way: str) -> None:
    model = CLIP(TINY_VIT).train()
    fill(model)
    loss = clip_loss(*model(images(TINY_VIT, ROWS), ids(TINY_VIT, ROWS)))
    torch.autograd.backward(loss)
    found = torch.load(folder / "gradients.pt")[way]
    assert found["loss"].item() == pytest.approx(loss.item(), abs=1e-6)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert (found[name] - parameter.grad).abs().max() <= 1e-5, name


@pytest.mark.process
def test_rows_are_gathered_in_the_order_of_the_processes(folder: Path) -> None:
    found = torch.load(folder / "gradients.pt")["ranks"]
    assert found["gathered"].flatten().tolist() == [0, 0, 1, 1]


@pytest.mark.process
def test_a_run_of_two_processes_equals_that_of_one(folder: Path, tmp_path: Path) -> None:
    data, arch = folder / "data" / "captions.csv", str(folder / "arch.json")
    alone = train(data, tmp_path, arch=arch, config=CONFIG, hold_out=7, workers=0, device="cpu")
    one, two = read_state(tmp_path / LAST), read_state(folder / "run" / LAST)
    assert two["optimizer"]["step"] == one["optimizer"]["step"] == alone.steps == 4
    for name, tensor in one["state_dict"].items():
        assert torch.allclose(tensor, two["state_dict"][name], atol=1e-4), name
    rows = [read_metrics(each / "metrics.csv") for each in (tmp_path, folder / "run")]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == [2, 4]
    for here, there in zip(*rows, strict=True):
        assert here["loss"] == pytest.approx(there["loss"], abs=1e-4)
        assert here["gradient_norm"] == pytest.approx(there["gradient_norm"], rel=1e-3)
    assert two["figures"] == pytest.approx(one["figures"], abs=0.15)


def test_a_single_process_needs_no_process_group() -> None:
    rows = torch.ones(2, 3)
    with init_distributed("cpu") as distributed:
        assert (distributed.rank, distributed.world_size, distributed.is_main) == (0, 1, True)
        assert all_gather(rows) is rows and all_gather_objects((1, 2)) == [1, 2]
        assert all_reduce_mean(torch.tensor(3.0)).item() == 3


def test_a_batch_that_processes_cannot_split_is_refused(tmp_path: Path) -> None:
    from clipsight.training.distributed import Distributed
    from clipsight.training.trainer import Trainer

    three = Distributed(0, 3, torch.device("cpu"))
    with pytest.raises(TrainingError, match="a batch of 8 can't be shared by 3 processes"):
        Trainer(CLIP(TINY_VIT), CONFIG, tmp_path, three, preprocess=PreprocessConfig(), photos=8)
