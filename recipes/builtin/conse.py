"""ConSE alone as a model folder: `python -m recipes.builtin.conse --data DATA --out FOLDER`.

The baseline of the table, the published towers without training: a photo is the mean of its ImageNet class
names' embeddings, weighted by their probabilities, a text its embedding of all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from recipes.command import exit_code

from .data import class_names
from .export import write_folder
from .model import Builtin
from .texts import class_vectors
from .towers import check_packages, load_image_tower, load_text_tower

_SCALE = 20.0
"""Logit scale: rankings, which the table compares, do not depend on it."""


def conse_model(data: Path) -> Builtin:
    """The untrained model, with the image head's linear map at zero. Raises RecipeError without the data."""
    check_packages()
    image, text = load_image_tower(), load_text_tower()
    model = Builtin(image, text, class_vectors(text, class_names(data)), 8, 0.0)
    torch.nn.init.zeros_(model.image_head.linear.weight)
    torch.nn.init.zeros_(model.image_head.linear.bias)
    return model.eval()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder; return 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.builtin.conse", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds imagenet_samples/")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    about = {"name": "conse", "license": "Apache-2.0", "provenance": "ConSE without training"}
    return exit_code(lambda: write_folder(conse_model(options.data), options.out, _SCALE, about))


if __name__ == "__main__":
    sys.exit(main())
