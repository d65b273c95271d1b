"""Deprecated name of `clipsight.search.query`, kept for one release."""

import warnings
from typing import Any

import clipsight.search.query as _module


def __getattr__(name: str) -> Any:
    value = getattr(_module, name)
    warnings.warn("clipsight.query is now clipsight.search.query", DeprecationWarning, stacklevel=2)
    return value
