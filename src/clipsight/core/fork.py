"""Objects that a forked process inherits but must neither use nor close."""

import os
from typing import Any
from weakref import WeakSet

_KEPT: WeakSet[Any] = WeakSet()


def keep_in_children(thing: Any) -> None:
    """Let `thing` never be destroyed in a forked process, nor what only it refers to.

    Closing an inherited SQLite connection drops locks (https://www.sqlite.org/howtocorrupt.html, 2.6), and
    destroying an ONNX session waits for threads that the process does not have.
    """
    _KEPT.add(thing)


def _keep() -> None:
    import ctypes

    for thing in list(_KEPT):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)
