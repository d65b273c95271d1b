"""A checkpoint -> the model folder that search runs on, compared with PyTorch before it appears.

Called by `clipsight export-model`; the graphs are written by `onnx_towers`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipsight.clip import pretrained
from clipsight.clip.declared import declared_preprocess, weights_in
from clipsight.clip.model import CLIP, create
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.core.version import __version__
from clipsight.export.onnx_graph import Precision
from clipsight.export.onnx_towers import write_textual, write_visual
from clipsight.export.parity import Agreement, check, compare, read_pixels
from clipsight.models import model_index
from clipsight.models.clip_bpe import END, START, clip_tokenizer, clip_vocabulary, read_merges
from clipsight.models.preprocess import PreprocessConfig


@dataclass(frozen=True)
class Exported:
    """What came of an export."""

    folder: Path
    precision: Precision
    size: int
    """Bytes on the disk."""
    photos: Agreement
    texts: Agreement

    def to_dict(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "folder": str(self.folder),
            "precision": self.precision,
            "size": self.size,
            "photos": self.photos.to_dict(),
            "texts": self.texts.to_dict(),
        }


def export_model(
    source: str | Path,
    folder: Path,
    photos: Sequence[Path],
    *,
    precision: Precision = "fp32",
    arch: str | Path | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the model folder `folder` from a checkpoint: whole and checked, or not at all.

    `source` is a weights file, a repository's or a training run's folder, or a published model's name (see
    `published`). `arch` is needed where nothing tells it (see `clip.create`). On up to 64 of `photos` and on
    TEXTS, ONNX Runtime has to give PyTorch's vectors, within LARGEST_DIFFERENCE and LEAST_COSINE. With
    `overwrite`, a model folder that is there is replaced. Raises CheckpointError for weights that can't be
    used, ModelError for all else.
    """
    folder = folder.expanduser().resolve()
    _check_target(folder, overwrite)
    weights = weights_in(pretrained.locate(source))
    model = create(arch, weights)
    _check_vocabulary(model, weights)
    preprocess = declared_preprocess(weights, model.architecture.vision_cfg.image_size)
    pixels = read_pixels(photos, preprocess)
    with _appearing(folder, overwrite) as waiting:
        _write_graphs(model, waiting, precision)
        _write_tokenizer(waiting, model.architecture.text_cfg.context_length)
        _write_preprocess(waiting, preprocess)
        config = _config(model, folder.name, source, weights)
        _write_json(waiting / "config.json", config)
        of_photos, of_texts = compare(model, waiting, pixels)
        check(of_photos, "photos", precision)
        check(of_texts, "texts", precision)
        config["clipsight"]["figures"] = {
            "export": {"precision": precision, "photos": of_photos.to_dict(), "texts": of_texts.to_dict()}
        }
        _write_json(waiting / "config.json", config)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Exported(folder, precision, size, of_photos, of_texts)


def _check_vocabulary(model: CLIP, weights: Path) -> None:
    """The tokenizer that is written is CLIP's, so the text tower must be made for its tokens."""
    text, tokens = model.architecture.text_cfg, len(clip_vocabulary(read_merges()))
    problem = None
    if text.vocab_size != tokens:
        problem = f"has a vocabulary of {text.vocab_size:,} tokens, not {tokens:,}"
    elif text.eos_id not in (None, tokens - 1):
        problem = f"takes token {text.eos_id} for the end of a text, not {tokens - 1}"
    if problem:
        raise CheckpointError(f"{weights} {problem}; only models with CLIP's own tokenizer can be exported")


def _write_graphs(model: CLIP, folder: Path, precision: Precision) -> None:
    for tower, write in (("visual", write_visual), ("textual", write_textual)):
        (folder / tower).mkdir()
        write(model, folder / tower / "model.onnx", precision)


def _write_tokenizer(folder: Path, context_length: int) -> None:
    clip_tokenizer().save(str(folder / "textual" / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": context_length,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    _write_json(folder / "textual" / "tokenizer_config.json", config)


def _write_preprocess(folder: Path, preprocess: PreprocessConfig) -> None:
    _write_json(folder / "visual" / "preprocess_cfg.json", asdict(preprocess))


def _config(model: CLIP, name: str, source: str | Path, weights: Path) -> dict[str, Any]:
    with weights.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    is_local = Path(source).expanduser().exists()
    published_as = None if is_local else model_index.find(str(source))
    origin = weights.name if is_local else f"{weights.name} of {source}"
    return {
        **model.architecture.to_dict(),
        "clipsight": {
            "name": name,
            "logit_scale": round(model.logit_scale.exp().item(), 4),
            "logit_bias": None,
            "license": published_as.license if published_as else None,
            "provenance": f"{origin}, SHA-256 {digest}, exported by clipsight {__version__}",
        },
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


_PARTS = {"config.json", "visual", "textual"}


def _check_target(folder: Path, overwrite: bool) -> None:
    """Only an empty folder, or with `overwrite` one that holds a model and nothing else, is replaced."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ModelError(f"{folder} is a file; give a folder that is not there yet")
    parts = {entry.name for entry in folder.iterdir()}
    if not parts <= _PARTS:
        raise ModelError(
            f"the folder {folder} holds other things than a model; give one that is not there yet"
        )
    if parts and not overwrite:
        raise ModelError(f"there is a model in {folder} already; `overwrite=True` replaces it")


@contextmanager
def _appearing(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Where to write what becomes `folder` once it is whole, or is removed."""
    waiting, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{what}") for what in ("part", "old"))
    try:
        try:
            waiting.mkdir(parents=True)
            yield waiting
            if overwrite and folder.exists():
                folder.rename(old)
            waiting.rename(folder)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ModelError(f"{folder} can't be written ({reason}); make room or choose another") from error
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (waiting, old):
            shutil.rmtree(left, ignore_errors=True)
