"""rclip, the peer that clipsight is measured against: installed apart, given the same weights and vectors.

    python -m benchmarks.peers VENV MODEL DATA        # only install it and give it MODEL's weights

rclip (https://github.com/yurijmikhalevich/rclip) keeps its model and its database in $RCLIP_DATADIR:

    ViT-B-32-256-datacomp_s34b_b86k/visual.onnx, textual.onnx   one input each, named `input`
    tokenizer/bpe_simple_vocab_16e6.txt.gz
    db.sqlite3                                                   a row a photo, vectors as float32

Its own model sees 256 pixels. To give it the ViT-B/32 that clipsight is measured with, its constant for the
side is set to the model's at the start of the process; nothing else of it is changed. It has no command that
only indexes, so `index_command` calls the function that its command line calls before it searches.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

RCLIP = "rclip==3.3.0"

_MODEL = "ViT-B-32-256-datacomp_s34b_b86k"
_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
_SIDE = "import rclip.utils.preprocess as p; p.IMAGE_SIZE = {side}; "
_SEARCH = "from rclip.main import main; main()"
_INDEX = "import os; from rclip.main import init_rclip; init_rclip(os.getcwd(), 8)"  # 8: its default batch


@dataclass(frozen=True)
class Rclip:
    """An installation of rclip with a data folder of its own; it always works on the current folder."""

    python: Path
    data: Path
    side: int

    @property
    def env(self) -> dict[str, str]:
        """What its processes need in their environment."""
        return {"RCLIP_DATADIR": str(self.data), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}

    def search_command(self, query: str, *options: str) -> list[str | Path]:
        """Its command line."""
        return [self.python, "-c", _SIDE.format(side=self.side) + _SEARCH, query, *options]

    def index_command(self) -> list[str | Path]:
        """Bring the current folder up to date, without a search."""
        return [self.python, "-c", _SIDE.format(side=self.side) + _INDEX]

    def empty_database(self) -> None:
        """A new database, made by rclip itself."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            (self.data / f"db.sqlite3{suffix}").unlink(missing_ok=True)
        code = "import sys; from rclip.db import DB; DB(sys.argv[1]).close()"
        subprocess.run([self.python, "-c", code, self.data / "db.sqlite3"], check=True)

    def fill_database(self, rows: Iterable[tuple[str, float, int, bytes]]) -> None:
        """Rows of (path, mtime in seconds, size, float32 vector), as if rclip had indexed them."""
        self.empty_database()
        with sqlite3.connect(self.data / "db.sqlite3") as database:
            database.executemany(
                "INSERT INTO images (filepath, modified_at, size, vector, hash) VALUES (?, ?, ?, ?, ?)",
                ((path, mtime, size, vector, os.urandom(32).hex()) for path, mtime, size, vector in rows),
            )
        database.close()


def rclip(venv: Path, data: Path, model: Path) -> Rclip:
    """Install rclip into `venv` unless it is there, and give it the weights of the model folder `model`."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", RCLIP], check=True)
    preprocess = json.loads((model / "visual" / "preprocess_cfg.json").read_text())
    installed = Rclip(python, data, preprocess["size"])
    if not (data / _MODEL).is_dir():
        _write_model(model, data)
    return installed


def _write_model(model: Path, data: Path) -> None:
    """The two graphs under rclip's names, inputs renamed, token ids as int64; the weights as they are."""
    import onnx

    (data / _MODEL).mkdir(parents=True)
    (data / "tokenizer").mkdir()
    vocabulary = files("clipsight.models.clip_bpe") / _VOCABULARY
    (data / "tokenizer" / _VOCABULARY).write_bytes(vocabulary.read_bytes())
    for tower in ("visual", "textual"):
        loaded = onnx.load(model / tower / "model.onnx")
        (image_or_text,) = loaded.graph.input
        for node in loaded.graph.node:
            names = ["input" if name == image_or_text.name else name for name in node.input]
            del node.input[:]
            node.input.extend(names)
        image_or_text.name = "input"
        if tower == "textual":
            image_or_text.type.tensor_type.elem_type = onnx.TensorProto.INT64
        onnx.save(loaded, data / _MODEL / f"{tower}.onnx")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("venv", type=Path, help="where to install it")
    parser.add_argument(
        "model", type=Path, help="a model folder, as `python -m benchmarks.vit_b32` writes it"
    )
    parser.add_argument("data", type=Path, help="where its model and database go")
    arguments = parser.parse_args()
    print(rclip(arguments.venv, arguments.data, arguments.model))
