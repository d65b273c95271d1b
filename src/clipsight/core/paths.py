"""Paths as users write them, and the folders of clipsight's own files, outside photo folders.

Imports are kept light: `web.client.local` answers a search within milliseconds. Functions come in pairs: as
in platformdirs, `home_dir` returns a str, and `home` the same folder as a Path.
"""

import os
import sys

TYPE_CHECKING = False  # importing typing.TYPE_CHECKING would take 10 ms of each start
if TYPE_CHECKING:
    from pathlib import Path

THUMBNAILS, LABELS = "thumbnails.sqlite3", "labels.sqlite3"
"""Files of caches in a library's folder: thumbnails of the web page, and embeddings of labels."""

PREFIXES = ("./", "../", "/", "~/")
"""Prefixes that mark a text as a path."""


CONFIG = "CLIPSIGHT_CONFIG"
"""Environment variable with the path of the configuration file, in place of the default one."""


def expand(path: "str | os.PathLike[str]") -> "Path":
    """The path with `~` expanded; if it does not exist, an existing path that differs in Unicode form only.

    Here and elsewhere `os.path` is used in place of methods of `Path`, which raise errors for names that are
    too long, folders that can't be entered, and homes of unknown users.

    File names from macOS are decomposed (NFD), typed ones are composed (NFC).
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
    """The entry of `folder` that equals `name` in NFC; `name` itself if it exists, or no entry does."""
    from clipsight.core.text import nfc

    if name.isascii() or os.path.lexists(folder / name):
        return name
    try:
        entries = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return name
    return next((entry for entry in entries if nfc(entry) == nfc(name)), name)


def find(text: str) -> "Path | None":
    """The existing file or folder that `text` names, or None."""
    path = expand(text)
    return path if os.path.exists(path) else None


def find_file(text: str) -> "Path | None":
    """The existing file that `text` names, or None."""
    found = find(text)
    return found if found is not None and os.path.isfile(found) else None


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
    """The folder of the XDG standard, found as platformdirs does, whose import would take 35 ms."""
    chosen = os.environ.get(variable, "")
    return os.path.join(chosen if os.path.isabs(chosen) else os.path.expanduser(usual), "clipsight")


def default_library() -> "Path":
    """The default library."""
    return home() / "library"


def library_folder(given: "str | os.PathLike[str] | None") -> "Path":
    """The folder of a library: the given one, `~` expanded, or the default."""
    from pathlib import Path

    return Path(os.path.expanduser(given)) if given else default_library()


def default_library_dir() -> str:
    """`default_library` as a str."""
    return os.path.join(home_dir(), "library")


def models_folder() -> "Path":
    """The folder of downloaded models, with one subfolder a model."""
    return home() / "models"


def texts_folder() -> "Path":
    """The cache of `clipsight match`: vectors of the lines of text files."""
    return home() / "texts"


def measured_folder() -> "Path":
    """The libraries of labelled photos that `evaluate` and `probe` embed, apart from the user's library."""
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
    """The path shortened for display: relative to the folder `inside`, else with `~` for the user's home."""
    text = os.fspath(path)
    home = os.path.expanduser("~") if home is None else home
    if text == home != "/":
        return "~"
    for folder, mark in ((os.fspath(inside or ""), ""), (home, "~/")):
        start = os.path.join(folder, "")
        if start not in ("", "/") and text.startswith(start):
            return mark + text[len(start) :]
    return text
