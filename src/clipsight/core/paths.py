"""Folders of clipsight's own files, outside photo folders."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """`$CLIPSIGHT_HOME`, else the user's data folder (`~/.local/share/clipsight` on Linux)."""
    chosen = os.environ.get("CLIPSIGHT_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("clipsight")


def default_library() -> Path:
    """The default library."""
    return home() / "library"


def models_folder() -> Path:
    """The folder of downloaded models, with one subfolder a model."""
    return home() / "models"
