"""Paths as users write them, and the folders of clipsight's own files, outside photo folders.

Imports are kept light: `web.client.local` answers a search within milliseconds. As in platformdirs, a name
with `_dir` is a str, of the folder that the name without it gives as a Path.
"""

import os
import sys

TYPE_CHECKING = False  # typing's own costs a start 10 ms
if TYPE_CHECKING:
    from pathlib import Path

THUMBNAILS, LABELS = "thumbnails.sqlite3", "labels.sqlite3"
"""Caches in a library's folder: of the web page, and of the vectors of labels."""

PREFIXES = ("./", "../", "/", "~/")
"""Beginnings of a text that can only be a path."""


CONFIG = "CLIPSIGHT_CONFIG"
"""Environment variable with the path of another configuration file than the user's."""


def spelled(path: "str | os.PathLike[str]") -> "Path":
    """The path with `~` expanded and, where nothing has its name, with the same name in another Unicode form.

    Disks that macOS wrote have decomposed names (NFD), keyboards type composed ones (NFC).
    """
    from pathlib import Path

    typed = Path(os.path.expanduser(path))
    if str(typed).isascii() or os.path.lexists(typed):
        return typed
    found = Path(typed.anchor)
    for part in typed.relative_to(typed.anchor).parts:
        found /= _entry(found, part)
    return found


def _entry(folder: "Path", name: str) -> str:
    """The name in `folder` that is `name` in NFC; `name` itself if it is there, or none is."""
    from clipsight.core.text import nfc

    if name.isascii() or os.path.lexists(folder / name):
        return name
    try:
        entries = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return name
    return next((entry for entry in entries if nfc(entry) == nfc(name)), name)


def find(text: str) -> "Path | None":
    """The existing file or folder that a user's text names; None for any other text."""
    try:
        path = spelled(text)
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, an unknown user's home
        return None


def find_file(text: str) -> "Path | None":
    """As `find`, for files only."""
    found = find(text)
    return found if found is not None and found.is_file() else None


def home() -> "Path":
    """`$CLIPSIGHT_HOME`, else the user's data folder (`~/.local/share/clipsight` on Linux)."""
    from pathlib import Path

    return Path(home_dir())


def home_dir() -> str:
    """`home` as a str."""
    if chosen := os.environ.get("CLIPSIGHT_HOME"):
        return os.path.expanduser(chosen)
    if _is_linux():
        return _xdg_folder("XDG_DATA_HOME", "~/.local/share")
    import platformdirs

    return platformdirs.user_data_dir("clipsight")


def _is_linux() -> bool:
    return sys.platform == "linux" and "ANDROID_ROOT" not in os.environ


def _xdg_folder(variable: str, usual: str) -> str:
    """The folder of the XDG standard, as platformdirs finds it, whose import costs 35 ms."""
    chosen = os.environ.get(variable, "")
    return os.path.join(chosen if os.path.isabs(chosen) else os.path.expanduser(usual), "clipsight")


def default_library() -> "Path":
    """The default library."""
    return home() / "library"


def library_folder(given: "str | os.PathLike[str] | None") -> "Path":
    """The folder of a library: the given one, `~` expanded, or the default."""
    from pathlib import Path

    return Path(given).expanduser() if given else default_library()


def default_library_dir() -> str:
    """`default_library` as a str."""
    return os.path.join(home_dir(), "library")


def models_folder() -> "Path":
    """The folder of downloaded models, with one subfolder a model."""
    return home() / "models"


def texts_folder() -> "Path":
    """The cache of text files' vectors, of `clipsight match`."""
    return home() / "texts"


def measured_folder() -> "Path":
    """The libraries of photos that were only measured or learnt from."""
    return home() / "measured"


def config_file() -> "Path":
    """`$CLIPSIGHT_CONFIG`, else `config.toml` in the user's configuration folder (`~/.config/clipsight`)."""
    from pathlib import Path

    return Path(config_file_path())


def config_file_path() -> str:
    """`config_file` as a str."""
    if chosen := os.environ.get(CONFIG):
        return os.path.expanduser(chosen)
    if _is_linux():
        folder = _xdg_folder("XDG_CONFIG_HOME", "~/.config")
    else:
        import platformdirs

        folder = platformdirs.user_config_dir("clipsight")
    return os.path.join(folder, "config.toml")


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
