"""Deprecated name of `clipsight.indexing.media.photo`, kept for one release."""

import warnings
from typing import Any

import clipsight.indexing.media.photo as _module


def __getattr__(name: str) -> Any:
    value = getattr(_module, name)
    warnings.warn(
        "clipsight.indexing.decode is now clipsight.indexing.media.photo", DeprecationWarning, stacklevel=2
    )
    return value
