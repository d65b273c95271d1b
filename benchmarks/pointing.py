"""The pointing game: does a method's heat for "red circle" peak on the red circle?

    python -m benchmarks.pointing train WORK    a ResNet and a ViT on 6,000 generated pictures, each minutes
    python -m benchmarks.pointing WORK          every method by each of them; occlusion wanted: >= 0.90

Each picture shows two things (`tests.explain.pointing`); the model, which never saw it, is asked for both:
by a query, "a red circle", and by words of a caption, "red circle", as `explain --word` does. `other` is how
often the heat peaks on the thing that was not asked for: a method that just finds things has as much there.

Words have a game too: the query names a thing that is there and one that is not, "a red circle and a blue
ring"; it is won where the words of the first have more of the score than the second's. Chance is 0.5, and
what does not look at the photo can't do better.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import WORDS, Printed
from clipsight.explain.base import Model, Settings
from clipsight.explain.explanation import region_explainer, word_explainer
from clipsight.explain.onnx_model import OnnxModel
from clipsight.explain.registry import METHODS, Method
from clipsight.explain.torch_methods.model import open_checkpoint
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from tests.support import pointing

TOWERS = {
    "ResNet": {"image_size": 96, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32},
    "ViT": {"image_size": 48, "layers": 3, "width": 128, "patch_size": 8, "head_width": 32},
}
PICTURES = 100


def train(work: Path) -> None:
    """Both towers, each with its export beside it."""
    from clipsight.export.export import export_model
    from clipsight.indexing.sample_photos import sample_photos
    from clipsight.training.config import TrainConfig
    from clipsight.training.train import train as train_clip

    for name, tower in TOWERS.items():
        side = int(str(tower["image_size"]))
        seen = pointing.write(work / name / "seen", 6000, side, seed=0)
        unseen = pointing.write(work / name / "unseen", 400, side, seed=1)
        arch = work / name / "architecture.json"
        arch.write_text(json.dumps({"embed_dim": 64, "vision_cfg": tower, "text_cfg": WORDS | {"layers": 2}}))
        epochs, rate = (12, 2e-3) if name == "ResNet" else (18, 1e-3)
        config = TrainConfig(epochs=epochs, batch=128, learning_rate=rate, weight_decay=0.05, crop=0.95)
        print(name)
        train_clip(
            seen, work / name / "run", arch=str(arch), config=config, val=unseen,
            save_every=138, observer=Printed(),
        )  # fmt: skip
        export_model(work / name / "run", work / name / "onnx", sample_photos())


def play(work: Path) -> None:
    """Print a row for each model and method."""
    for name, tower in TOWERS.items():
        side = int(str(tower["image_size"]))
        rng = np.random.default_rng(2)
        drawn = [pointing.draw(side, rng) for _ in range(PICTURES)]
        things = [thing for picture in drawn for thing in picture.things]
        print(f"{name}: {PICTURES} pictures, chance {pointing.chance(things, side):.3f}")
        print(f"{'regions':<24}{'query':>8}{'other':>8}{'words':>8}{'other':>8}{'s each':>8}")
        for model, method in _supported(work / name, region_explainer):
            started = time.perf_counter()
            explainer = region_explainer(method)(model, Settings())
            scores = [
                pointing.points_at(explainer, model, drawn, words) for words in (pointing.with_article, str)
            ]
            seconds = (time.perf_counter() - started) / (4 * PICTURES)
            told = "".join(f"{score.hit:8.3f}{score.other:8.3f}" for score in scores)
            print(f"{_label(method, model)}{told}{seconds:8.3f}", flush=True)
        print(f"{'words':<24}{'won':>8}{'s each':>8}")
        for model, method in _supported(work / name, word_explainer):
            started = time.perf_counter()
            won = pointing.words_won(word_explainer(method)(model, Settings()), model, drawn)
            seconds = (time.perf_counter() - started) / PICTURES
            print(f"{_label(method, model)}{won:8.3f}{seconds:8.3f}", flush=True)


def _supported(folder: Path, explainer: Callable[[Method], Any]) -> Iterator[tuple[Model, Method]]:
    """The exported model, then the checkpoint, each with the methods whose `explainer` supports it."""
    models: list[Model] = [
        OnnxModel(Encoder(ModelFolder.read(folder / "onnx"))),
        open_checkpoint(folder / "run"),
    ]
    for model in models:
        for method in METHODS.values():
            found = explainer(method)
            if found is not None and found.unsupported(model) is None:
                yield model, method


def _label(method: Method, model: Model) -> str:
    return f"{method.name + (' (ONNX)' if isinstance(model, OnnxModel) else ' (PyTorch)'):<24}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["train", work]:
            train(Path(work))
        case [work]:
            play(Path(work))
        case _:
            sys.exit(__doc__)
