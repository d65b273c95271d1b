"""Deprecated name of `clipsight.search.results`, kept for one release."""

import warnings
from typing import Any

import clipsight.search.results as _module


def __getattr__(name: str) -> Any:
    value = getattr(_module, name)
    warnings.warn("clipsight.results is now clipsight.search.results", DeprecationWarning, stacklevel=2)
    return value
