"""When does a text not fit at all? Measures the calibration of `search --sure` and `classify --unknown`.

    python -m benchmarks.rejection DATA WORK [--model FOLDER] [--languages en,zh]

DATA is the folder that recipes/builtin is trained on, WORK keeps embeddings. Only photos are used that the
builtin model has not seen. The figures are cross-fitted, as recipes/calibration says: of photos and things
that the fit has not seen.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import measure
from clipsight.models.registry import builtin_folder
from recipes.calibration.__main__ import main as calibrate


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rejection", description=__doc__.splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="the folder that holds captioned/ and everyday/")
    parser.add_argument("work", type=Path, help="a folder for embeddings")
    parser.add_argument("--model", type=Path, default=builtin_folder(), help="a model folder")
    parser.add_argument("--languages", default="en", help="codes such as en,zh,de (default: en)")
    options = parser.parse_args()
    measure.print_machine("onnxruntime", "numpy", "scikit-learn")
    paths = ("--data", options.data, "--work", options.work, "--model", options.model)
    return calibrate([*map(str, paths), "--languages", options.languages, "--measure"])


if __name__ == "__main__":
    sys.exit(main())
