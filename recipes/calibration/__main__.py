"""Fit the calibration of `sure` and `unknown` for a model, and measure it.

    python -m recipes.calibration --data ../shared/data --model FOLDER [--languages en,zh]

writes `calibration.npz` into the model's folder, and prints its figures. They are cross-fitted: what is
measured of a query in one half of the photos comes from a fit on the other half and on queries about other
things.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clipsight.models.encoder import Encoder
from clipsight.models.folder import CALIBRATION, ModelFolder
from recipes.command import exit_code, log

from .crossfit import calibrate, lines
from .data import load
from .languages import ask


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, measure and write; return 0, or 2 with one line on stderr for a user's error."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.calibration", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds captioned/")
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--languages", default="en", help="codes such as en,zh,de (default: en)")
    parser.add_argument("--work", type=Path, default=Path("build/calibration"), help="folder of embeddings")
    parser.add_argument("--measure", action="store_true", help="print the figures, and write nothing")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    languages = options.languages.split(",")
    return exit_code(
        lambda: fit(
            options.data, options.model, languages, options.work, options.threads, write=not options.measure
        )
    )


def fit(
    data: Path, model: Path, languages: Sequence[str], work: Path, threads: int | None, *, write: bool
) -> None:
    """Fit and print the figures; with `write`, write the calibration into the model's folder.

    Raises `ClipsightError`.
    """
    folder = ModelFolder.read(model)
    encoder = Encoder(folder, threads=threads)
    photos = load(data, encoder, work, log)
    asked = ask(photos, data, languages, encoder, work, log)
    log(f"{len(photos.photos)} photos, {len(asked.queries)} queries")
    calibration = calibrate(photos, asked, log)
    print("\n".join(lines(calibration.figures)))
    if write:
        calibration.write(folder.path)
        log(f"wrote {folder.path / CALIBRATION}")


if __name__ == "__main__":
    sys.exit(main())
