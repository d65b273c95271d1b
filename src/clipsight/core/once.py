"""Attributes that are computed once, by one thread, while others wait."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class once(Generic[Value]):  # named like `property`
    """A `functools.cached_property` that only one thread computes.

    The class has an `RLock` as `_lock`, which is held meanwhile. `forget` drops the value.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "once[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> "once[Value] | Value":
        if instance is None:
            return self
        with instance._lock:
            values = instance.__dict__  # Python looks there first, from now on
            if self._name not in values:
                values[self._name] = self._compute(instance)
            value: Value = values[self._name]
            return value


def forget(instance: Any, name: str) -> None:
    """Drop the value of the `once` attribute `name`, so that the next use computes it again."""
    with instance._lock:
        instance.__dict__.pop(name, None)
