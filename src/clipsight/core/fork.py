"""Objects that a forked process inherits but must neither use nor destroy."""

import os
from typing import Any
from weakref import WeakSet

_LEAKED: WeakSet[Any] = WeakSet()


def leak_after_fork(instance: Any) -> None:
    """Never destroy `instance`, nor the objects it owns, in a forked child process.

    Closing an inherited SQLite connection drops locks (https://www.sqlite.org/howtocorrupt.html, 2.6), and
    destroying an ONNX Runtime session waits for threads that the child process does not have.
    """
    _LEAKED.add(instance)


def _leak() -> None:
    import ctypes

    for instance in list(_LEAKED):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(instance))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leak)
