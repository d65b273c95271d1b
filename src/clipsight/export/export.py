"""Export of a checkpoint to a model folder, after comparing its embeddings with PyTorch's."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipsight.clip.factory import create
from clipsight.clip.model import CLIP
from clipsight.clip.pretrained import find_weights, locate, read_preprocess
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.core.files import total_size
from clipsight.core.paths import expand
from clipsight.core.version import __version__
from clipsight.export.onnx_graph import Precision
from clipsight.export.onnx_towers import write_textual, write_visual
from clipsight.export.parity import Parity, check, compare, read_pixels
from clipsight.models import model_index
from clipsight.models.clip_bpe import END, START, clip_tokenizer, clip_vocabulary, read_merges
from clipsight.models.preprocess import PreprocessConfig


@dataclass(frozen=True)
class ExportResult:
    """Outcome of an export."""

    folder: Path
    precision: Precision
    size: int
    """Size on disk in bytes."""
    photos: Parity
    texts: Parity

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON object."""
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
) -> ExportResult:
    """Export a checkpoint to the model folder `folder`, atomically, after comparing it with PyTorch.

    The embeddings of ONNX Runtime and PyTorch are compared on up to 64 of `photos` and on `parity.TEXTS`;
    they must agree within `parity.MAX_DIFFERENCE` and `parity.MIN_COSINE`.

    Args:
        source: Weights file, folder of a repository or training run, or name of a published model
            (see `pretrained.locate`).
        folder: Folder to write.
        photos: Photos to compare on.
        precision: Precision of the weights.
        arch: Architecture, if it can't be inferred from the weights (see `factory.create`).
        overwrite: Replace an existing model folder.

    Raises:
        CheckpointError: The weights can't be used.
        ModelError: The folder can't be written, or the embeddings differ.
    """
    folder = expand(folder).resolve()
    _check_target(folder, overwrite)
    weights = find_weights(locate(source))
    model = create(arch, weights)
    _check_vocabulary(model, weights)
    preprocess = read_preprocess(weights, model.architecture.vision_cfg.image_size)
    pixels = read_pixels(photos, preprocess)
    with _atomic_folder(folder, overwrite) as temporary:
        _write_graphs(model, temporary, precision)
        _write_tokenizer(temporary, model.architecture.text_cfg.context_length)
        _write_preprocess(temporary, preprocess)
        config = _config(model, folder.name, source, weights)
        _write_json(temporary / "config.json", config)
        of_photos, of_texts = compare(model, temporary, pixels)
        check(of_photos, "photos", precision)
        check(of_texts, "texts", precision)
        config["clipsight"]["figures"] = {
            "export": {"precision": precision, "photos": of_photos.to_dict(), "texts": of_texts.to_dict()}
        }
        _write_json(temporary / "config.json", config)
    size = total_size(folder)
    return ExportResult(folder, precision, size, of_photos, of_texts)


def _check_vocabulary(model: CLIP, weights: Path) -> None:
    """Raise CheckpointError unless the text tower uses CLIP's tokenizer: no other can be exported."""
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
    is_local = os.path.exists(expand(source))
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


_MODEL_ENTRIES = {"config.json", "visual", "textual"}


def _check_target(folder: Path, overwrite: bool) -> None:
    """Raise ModelError unless `folder` is missing, empty, or with `overwrite` holds nothing but a model."""
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        raise ModelError(f"{folder} is a file; choose a new folder")
    entries = {entry.name for entry in folder.iterdir()}
    if not entries <= _MODEL_ENTRIES:
        raise ModelError(f"the folder {folder} holds other things than a model; choose a new one")
    if entries and not overwrite:
        raise ModelError(f"there is a model in {folder} already; `overwrite=True` replaces it")


@contextmanager
def _atomic_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to `folder` on success and removed on failure."""
    temporary, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if overwrite and os.path.exists(folder):
                folder.rename(old)
            temporary.rename(folder)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ModelError(f"{folder} can't be written ({reason}); make room or choose another") from error
    finally:
        if os.path.exists(old) and not os.path.exists(folder):
            old.rename(folder)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
