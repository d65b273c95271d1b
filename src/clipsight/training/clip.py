"""Deprecated name of `clipsight.clip.model` and `clipsight.clip.factory`, kept for one release."""

import warnings
from typing import Any

import clipsight.clip.factory as _factory


def __getattr__(name: str) -> Any:
    value = getattr(_factory, name)
    warnings.warn(f"clipsight.training.clip is now {value.__module__}", DeprecationWarning, stacklevel=2)
    return value
