"""A run's last checkpoint, `last.pt`: written whole or not at all, read without running what is in it.

Called by `trainer` and `run`.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clipsight.errors import TrainingError

_LAST = "last.pt"


def read_state(folder: Path) -> dict[str, Any]:
    """The content of a run's last checkpoint, on the CPU. Raises TrainingError."""
    path = folder / _LAST
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"there is no run to resume in {folder}; leave out --resume") from error
    except Exception as error:  # of a damaged file, torch raises anything
        raise TrainingError(f"{path} is no checkpoint of a run, or damaged; begin another with -o") from error
    if not isinstance(state, dict) or "identity" not in state:
        raise TrainingError(f"{path} is no checkpoint of a run; begin another with -o")
    return state


def has_run(folder: Path) -> bool:
    """Whether a run has left a checkpoint there."""
    return (folder / _LAST).exists()


def write_state(state: Mapping[str, Any], folder: Path) -> None:
    """Replace the folder's last checkpoint. Raises TrainingError where the disk can't be written."""
    path = folder / _LAST
    waiting = folder / f".{_LAST}.part"
    try:
        with waiting.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(waiting, path)
    except (OSError, RuntimeError) as error:  # the latter where the disk is full
        detail = str(error).partition("\n")[0]
        raise TrainingError(f"{path} can't be written ({detail}); make room, then --resume") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            waiting.unlink()
