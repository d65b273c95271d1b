"""Build the builtin model: `python -m recipes.builtin --data ../shared/data [--out FOLDER] [--work FOLDER]`.

Stages: frozen features of each view, training with a checkpoint an epoch, calibration, export, figures.
Finished stages are kept under --work, so that the same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from recipes.command import RESUMES, exit_code, log

from .data import SEED, Photo, class_names, load_photos, load_sentences
from .evaluate import axes_of, figures, fit_scale, open_bench, text_to_image
from .export import write_folder
from .features import cached_view, frozen_runner
from .model import SHIPPED_WIDTH, WIDTH, Builtin
from .texts import class_vectors
from .towers import check_packages, load_image_tower, load_text_tower
from .train import TrainConfig, Trainer, TrainingData
from .words import class_captions

OUT = Path(__file__).parents[2] / "src" / "clipsight" / "models" / "builtin"
LICENSE = "Apache-2.0 (both towers); the training photos and captions have their own terms: see provenance"
PROVENANCE = (
    "EfficientNet-Lite2 and all-MiniLM-L6-v2, joined by ConSE and fine-tuned on Flickr8k, COCO and small "
    "product, clothing, scene and ImageNet samples; recipes/builtin/README.md is the model card"
)


def run(data: Path, out: Path, work: Path, config: TrainConfig) -> None:
    """Run all stages. Raises RecipeError for missing data or packages."""
    check_packages()
    photos = load_photos(data)
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    log(f"{len(photos)} photos, on {device}")

    model = _train(data, photos, work, config, device)
    learned = model.log_scale.exp().item()
    partial = work / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    _export(model, partial, learned, {})
    log("choosing the vectors' axes on the dev split, and measuring without them on the test split")
    full = open_bench(data, partial)
    whole = text_to_image(full, "test")
    model.shorten(torch.from_numpy(axes_of(full, SHIPPED_WIDTH)))
    _export(model, partial, learned, {})

    log("calibrating the temperature on the dev split")
    scale = fit_scale(open_bench(data, partial))
    _export(model, partial, scale, {})
    log("measuring on the test split")
    measured = figures(open_bench(data, partial), "test", learned)
    measured["flickr_at_size"][str(WIDTH)] = whole
    _export(model, partial, scale, {"learned_logit_scale": round(learned, 3), "test": measured})
    print(json.dumps(measured, indent=2))
    shutil.copytree(partial, out, dirs_exist_ok=True)
    log(f"wrote {out}")


def _train(data: Path, photos: list[Photo], work: Path, config: TrainConfig, device: torch.device) -> Builtin:
    image, text = load_image_tower(), load_text_tower().to(device)
    frozen = cache(lambda: frozen_runner(image))  # only if a view is not cached yet
    views = [cached_view(data, photos, view, work, frozen, log) for view in range(config.views)]
    names = class_names(data)
    captions = [class_captions(i, name) for i, name in enumerate(names)]
    classes = class_vectors(text, names)
    model = Builtin(image, text, classes, config.hidden, config.dropout).to(device)
    training_data = TrainingData(photos, views, load_sentences(data), captions)
    Trainer(model, training_data, config, log).run(work / "training.pt")
    return model.cpu()


def _export(model: Builtin, folder: Path, scale: float, measured: dict[str, object]) -> None:
    write_folder(model, folder, scale, {"license": LICENSE, "provenance": PROVENANCE, "figures": measured})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; return 0, or 2 with one line on stderr for a user's error or an interruption."""
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder that holds captioned/, products/ ..."
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, help="the model folder to write (default: the shipped one)"
    )
    parser.add_argument("--work", type=Path, default=Path("build/builtin"), help="folder of finished stages")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run(options.data, options.out, options.work, TrainConfig()), interrupted=RESUMES)


if __name__ == "__main__":
    sys.exit(main())
