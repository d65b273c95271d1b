"""Paths as users write them, and the folders of clipsight's own files, outside photo folders.

Imports are kept light: `web.client.local` answers a search within milliseconds. As in platformdirs, a name
with `_dir` is a str, of the folder that the name without it gives as a Path.
"""

import os
import sys

TYPE_CHECKING = False  # typing's own costs a start 10 ms
if TYPE_CHECKING:
    from pathlib import Path

PREFIXES = ("./", "../", "/", "~/")
"""Beginnings of a text that can only be a path."""


def home() -> "Path":
    """`$CLIPSIGHT_HOME`, else the user's data folder (`~/.local/share/clipsight` on Linux)."""
    from pathlib import Path

    return Path(home_dir())


def home_dir() -> str:
    """`home` as a str."""
    if chosen := os.environ.get("CLIPSIGHT_HOME"):
        return os.path.expanduser(chosen)
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ:
        # as platformdirs, whose import costs 35 ms
        data = os.environ.get("XDG_DATA_HOME", "")
        return os.path.join(
            data if os.path.isabs(data) else os.path.expanduser("~/.local/share"), "clipsight"
        )
    import platformdirs

    return platformdirs.user_data_dir("clipsight")


def default_library() -> "Path":
    """The default library."""
    return home() / "library"


def default_library_dir() -> str:
    """`default_library` as a str."""
    return os.path.join(home_dir(), "library")


def models_folder() -> "Path":
    """The folder of downloaded models, with one subfolder a model."""
    return home() / "models"


def short(path: "str | os.PathLike[str]", inside: "Path | None" = None, *, home: str | None = None) -> str:
    """The path as people read it: relative to the folder `inside` or, with `~`, to the user's home."""
    text = os.fspath(path)
    home = os.path.expanduser("~") if home is None else home
    if text == home != "/":
        return "~"
    for folder, mark in ((os.fspath(inside or ""), ""), (home, "~/")):
        start = os.path.join(folder, "")
        if start not in ("", "/") and text.startswith(start):
            return mark + text[len(start) :]
    return text
