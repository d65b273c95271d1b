"""Cached features of the frozen part of the image tower.

Each view (the preprocessed photo, then augmented ones) is one stage: pooled features of every tap, and the
input of the trained blocks. A view is written under a temporary name and renamed when it is complete, so that
an interrupted run resumes at the first missing view.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch.nn import functional as F

from .data import SEED, Photo
from .errors import RecipeError
from .export import frozen_graph
from .model import FEATURES, TAPS, TRAINED_FROM
from .towers import IMAGE_SIZE, ImageTower

MAPS = (208, 9, 9)
_BATCH = 8
_PROBE = 8
"""Features that tell if a row was computed."""
_KEEP_COLOUR = ("products", "clothing")
"""Sources whose captions name colours, which strong colour jitter would make wrong."""


@dataclass(frozen=True)
class View:
    """One view of all photos, memory-mapped."""

    pooled: NDArray[np.float32]
    """float32[photos,FEATURES]; in an augmented view only the rows of training photos are filled"""
    maps: NDArray[np.float16]
    """float16[photos,208,9,9], the input of block TRAINED_FROM"""


def to_tensor(image: Image.Image) -> NDArray[np.float32]:
    """RGB image of the tower's size -> float32[3,260,260] in -1..1."""
    return (np.asarray(image, dtype=np.float32) / 127.5 - 1.0).transpose(2, 0, 1)


def load_plain(path: Path) -> NDArray[np.float32]:
    """Photo preprocessed as by the shipped preprocess_cfg.json, squashed to a square: float32[3,260,260]."""
    with Image.open(path) as image:
        return to_tensor(image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))


def load_augmented(path: Path, source: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Photo with random crop (at least half the area), flip and colour jitter: float32[3,260,260]."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    area, aspect = rng.uniform(0.5, 1.0), np.exp(rng.uniform(-0.2, 0.2))
    wide, high = min(1.0, np.sqrt(area * aspect)), min(1.0, np.sqrt(area / aspect))
    left, top = rng.uniform(0, 1 - wide) * image.width, rng.uniform(0, 1 - high) * image.height
    box = (left, top, left + wide * image.width, top + high * image.height)
    image = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    strength = 0.08 if source in _KEEP_COLOUR else 0.25
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - strength, 1 + strength))
    return to_tensor(image)


def load_view(data: Path, photo: Photo, view: int) -> NDArray[np.float32]:
    """View 0 is not augmented; others depend only on the seed, the view and the photo's name."""
    if view == 0:
        return load_plain(data / photo.path)
    digest = hashlib.sha256(f"{SEED}/{view}/{photo.path}".encode()).digest()
    return load_augmented(data / photo.path, photo.source, np.random.default_rng(list(digest)))


Runner = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""float32[batch,3,260,260] -> pooled float32[batch,FEATURES], maps float32[batch,208,9,9]."""


def frozen_runner(tower: ImageTower) -> Runner:
    """Runner of the published tower: PyTorch on a GPU, else ONNX Runtime, four times as fast on CPUs."""
    if torch.cuda.is_available():
        tower = tower.cuda()

        @torch.inference_mode()
        def run_torch(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            x, pooled, maps = F.relu6(tower.stem(torch.from_numpy(batch).cuda())), [], None
            for i, block in enumerate(tower.blocks):
                maps = x if i == TRAINED_FROM else maps
                x = block(x)
                if i in TAPS:
                    pooled.append(x.mean((2, 3)))
            pooled.append(F.relu6(tower.head(x)).mean((2, 3)))
            assert maps is not None
            return torch.cat(pooled, 1).cpu().numpy(), maps.cpu().numpy()

        return run_torch

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one batch per core is faster than one batch on all cores
    session = onnxruntime.InferenceSession(frozen_graph(tower), options, providers=["CPUExecutionProvider"])

    def run_onnx(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pooled, maps = session.run(None, {"image": batch})
        return pooled, maps

    return run_onnx


def cached_view(
    data: Path,
    photos: Sequence[Photo],
    view: int,
    cache: Path,
    runner: Callable[[], Runner],
    log: Callable[[str], None],
) -> View:
    """View number `view` of all photos, computed unless it is in `cache`."""
    listing = hashlib.sha256("\n".join(photo.path for photo in photos).encode()).hexdigest()[:12]
    folder = cache / f"view-{view}-{SEED}-{listing}"
    if not folder.is_dir():
        _compute_view(data, photos, view, folder, runner(), log)
    pooled, maps = np.load(folder / "pooled.npy"), np.load(folder / "maps.npy", mmap_mode="r")
    return View(pooled, maps)


def _compute_view(
    data: Path, photos: Sequence[Photo], view: int, folder: Path, run: Runner, log: Callable[[str], None]
) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    open_array = np.lib.format.open_memmap
    pooled = open_array(partial / "pooled.npy", "w+", np.float32, (len(photos), FEATURES))
    maps = open_array(partial / "maps.npy", "w+", np.float16, (len(photos), *MAPS))

    wanted = [i for i, photo in enumerate(photos) if view == 0 or photo.split == "train"]

    def work(start: int) -> None:
        batch = wanted[start : start + _BATCH]
        images = np.stack([load_view(data, photos[i], view) for i in batch])
        pooled[batch], maps[batch] = run(images)

    _in_batches(len(wanted), work, view, log)
    pooled.flush()
    maps.flush()
    partial.rename(folder)


def pooled_view(
    data: Path,
    photos: Sequence[Photo],
    wanted: Sequence[int],
    view: int,
    path: Path,
    runner: Callable[[], Runner],
    log: Callable[[str], None],
) -> NDArray[np.float32]:
    """Pooled features of one view of the `wanted` photos, float32[photos,FEATURES], kept in the file `path`.

    The other photos' rows are zero. A file that holds a part of the rows is completed.
    """
    shape = (len(photos), FEATURES)
    open_array = np.lib.format.open_memmap
    pooled = open_array(path, "r+") if path.is_file() else open_array(path, "w+", np.float32, shape)
    if pooled.shape != shape:
        raise RecipeError(f"{path} is of {len(pooled)} photos instead of {len(photos)}: remove it")
    missing = [i for i in wanted if not is_filled(pooled[i : i + 1])[0]]
    run = runner() if missing else None

    def work(start: int) -> None:
        batch = missing[start : start + _BATCH]
        assert run is not None
        pooled[batch] = run(np.stack([load_view(data, photos[i], view) for i in batch]))[0]

    _in_batches(len(missing), work, view, log)
    pooled.flush()
    return pooled


def _in_batches(count: int, work: Callable[[int], None], view: int, log: Callable[[str], None]) -> None:
    """Call `work` with the start of each batch of `count` photos, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(work, range(0, count, _BATCH))):
            if done % 200 == 0:
                log(f"view {view}: {done * _BATCH} of {count} photos")


def is_filled(pooled: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Rows that were computed, bool[photos]: pooled features are never all zero."""
    filled: NDArray[np.bool_] = np.abs(pooled[:, :_PROBE]).sum(1) > 0
    return filled
