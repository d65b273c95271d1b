"""The libraries of the extra [probe], imported where they are needed."""

from importlib import import_module
from typing import Any

from clipsight.core.errors import LabelError


def extra(module: str) -> Any:
    """The module; raises `LabelError` where it isn't installed."""
    try:
        return import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module.partition(".")[0])
        raise LabelError(f"probes need {package}: pip install 'clipsight[probe]'") from error
