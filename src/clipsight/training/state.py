"""A run's state on the disk: written whole or not at all, read without running what is in it.

Called by `trainer` and `run`, and by recipes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clipsight.core.errors import TrainingError
from clipsight.core.files import atomic_write


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` has written, on the CPU. Raises TrainingError."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"there is no run to resume in {path.parent}; leave out `resume`") from error
    except Exception as error:  # of a damaged file, torch raises anything
        raise TrainingError(f"{path} is no checkpoint of a run, or damaged; begin another run") from error
    if not isinstance(state, dict) or "identity" not in state:
        raise TrainingError(f"{path} is no checkpoint of a run; begin another run")
    return state


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Replace the file; `state` has an "identity". Raises TrainingError where the disk can't be written."""
    try:
        with atomic_write(path, error=TrainingError) as temporary:
            torch.save(state, temporary)
    except RuntimeError as error:  # torch's, where the disk is full
        detail = str(error).partition("\n")[0]
        raise TrainingError(f"can't write {path}: {detail}; make room, then resume") from error


def as_stored(identity: Mapping[str, Any]) -> dict[str, Any]:
    """As a file gives it back: tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in identity.items()}


def differences(state: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored run was begun with where that is not as in `identity`."""
    stored = state["identity"]
    return {
        name: stored.get(name) for name, value in as_stored(identity).items() if stored.get(name) != value
    }
