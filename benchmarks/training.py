"""Does training work: from nothing on generated pictures, and on real captioned photos.

    python -m benchmarks.training pictures WORK            minutes on two cores; wanted: >= 90 % R@1
    python -m benchmarks.training photos CAPTIONED WORK    held-out recall of a small model from scratch

`pictures`: shapes x colours x sizes x places x counts with captions by a grammar. A fifth of the combinations
is never shown; the figure is recall@1 among one picture of each of these. `photos`: a folder with
captions.csv, of which 1,000 photos are held out, so that chance is 0.001. Each prints the recall at every
checkpoint, and leaves the run with its curves.png in WORK.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipsight.training.config import TrainConfig
from clipsight.training.train import train
from clipsight.training.trainer import Progress
from tests.support import pictures as generated

RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}
VIT = {"image_size": 32, "layers": 3, "width": 128, "patch_size": 8, "head_width": 32}
WORDS = {"context_length": 12, "width": 64, "heads": 2, "layers": 1}
PHOTOS = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 192, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 24, "width": 128, "heads": 4, "layers": 2},
}


class Printed:
    """Prints what a run measures as it goes."""

    def __init__(self) -> None:
        self._started, self._last = time.perf_counter(), 0.0

    def on_step(self, progress: Progress) -> None:
        self._last = progress.loss

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        seconds = time.perf_counter() - self._started
        recalls = "  ".join(
            f"{way.replace('_', ' ')} R@1 {metrics[f'{way}@1']:.3f} R@10 {metrics[f'{way}@10']:.3f}"
            for way in ("text_to_image", "image_to_text")
        )
        print(f"{seconds:5.0f} s  step {step:4}  loss {self._last:.3f}  {recalls}", flush=True)


def pictures(work: Path) -> None:
    """All 1,440 combinations, four fifths of them to train on."""
    seen, unseen = generated.split(generated.scenes(), 0.2)
    print(f"{len(seen)} combinations to train on, {len(unseen)} never seen")
    training = generated.write(work / "seen", seen, 4, 64)
    held_out = generated.write(work / "unseen", unseen, 1, 64, seed=1)
    for name, tower, epochs in (("ResNet", RESNET, 9), ("ViT", VIT, 27)):
        print(name)
        arch = {"embed_dim": 64, "vision_cfg": tower, "text_cfg": WORDS}
        config = TrainConfig(epochs=epochs, batch=128, learning_rate=2e-3, weight_decay=0.05)
        _train(training, work / name, arch, config, val=held_out, save_every=4 * epochs)


def photos(captioned: Path, work: Path) -> None:
    """From scratch, on some thousand photos: far from CLIP, and far from chance."""
    config = TrainConfig(epochs=15, batch=256, learning_rate=1e-3, weight_decay=0.2, crop=0.5)
    _train(captioned / "captions.csv", work, PHOTOS, config, hold_out=1000)


def _train(data: Path, work: Path, arch: dict[str, Any], config: TrainConfig, **options: Any) -> None:
    work.mkdir(parents=True, exist_ok=True)
    (work / "architecture.json").write_text(json.dumps(arch))
    named = str(work / "architecture.json")
    train(data, work / "run", arch=named, config=config, observer=Printed(), **options)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["pictures", work]:
            pictures(Path(work))
        case ["photos", captioned, work]:
            photos(Path(captioned), Path(work))
        case _:
            sys.exit(__doc__)
