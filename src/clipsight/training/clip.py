"""Deprecated name of `clipsight.clip.model`, kept for one release."""

import warnings
from typing import Any

import clipsight.clip.model as _module


def __getattr__(name: str) -> Any:
    value = getattr(_module, name)
    warnings.warn("clipsight.training.clip is now clipsight.clip.model", DeprecationWarning, stacklevel=2)
    return value
