"""Optional dependencies, installed as extras of the package."""

from importlib import import_module
from typing import Any

from clipsight.core.errors import (
    ClipsightError,
    LabelError,
    LibraryError,
    ModelError,
    PhotoError,
    ServerError,
    TrainingError,
)

TORCH_FOR_CPU = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""Command that installs PyTorch without CUDA's libraries, to run before installing an extra with PyTorch."""

_EXTRAS: dict[str, tuple[str, type[ClipsightError]]] = {
    "jxl": ("JPEG XL needs", PhotoError),
    "notebook": ("data frames need", LibraryError),
    "ocr": ("reading text in photos needs", ModelError),
    "parquet": ("Parquet files need", LibraryError),
    "probe": ("probes need", LabelError),
    "raw": ("raw files need", PhotoError),
    "train": ("training needs", TrainingError),
    "watch": ("watching folders needs", LibraryError),
    "web": ("the server needs", ServerError),
}
"""Extra -> beginning of the error message, and class of the error."""

_PACKAGES = {"pillow_jxl": "pillow-jxl-plugin", "sklearn": "scikit-learn"}
"""Module -> name of its package on PyPI, where the two differ."""


def how_to_install(extra: str) -> str:
    """The command that installs an extra of clipsight, which is not published on PyPI yet."""
    command = f"pip install '.[{extra}]' in the clone of clipsight"
    return f"{command} (for CPUs only, before it: {TORCH_FOR_CPU})" if extra == "train" else command


def require(extra: str, *modules: str, purpose: str = "", error: type[ClipsightError] | None = None) -> Any:
    """Import `modules`, which the extra `extra` installs, and return the last one.

    If packages are missing, raises an error that names them and the command to install them. `purpose`
    ("exporting needs") and `error` replace the extra's beginning of the message and class of the error.
    """
    module: Any = None
    missing: list[str] = []
    for name in modules:
        try:
            module = import_module(name)
        except ModuleNotFoundError as problem:
            package = (problem.name or name).partition(".")[0]
            if package == "clipsight":
                raise
            missing.append(_PACKAGES.get(package, package))
    if missing:
        *others, last = dict.fromkeys(missing)
        names = f"{', '.join(others)} and {last}" if others else last
        default_purpose, default_error = _EXTRAS[extra]
        raise (error or default_error)(f"{purpose or default_purpose} {names}: {how_to_install(extra)}")
    return module
