"""Where clipsight keeps its own files: one folder, never inside a photo folder."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """`$CLIPSIGHT_HOME`, else the user's data folder (`~/.local/share/clipsight` on Linux)."""
    chosen = os.environ.get("CLIPSIGHT_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("clipsight")


def default_library() -> Path:
    """The library that commands use when `--library` is not given."""
    return home() / "library"


def models_folder() -> Path:
    """Where downloaded model folders live, one sub-folder a model."""
    return home() / "models"
