"""Thread-safe cached properties: one thread computes the value while others wait."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class locked_cached_property(Generic[Value]):  # named like `property`
    """A `functools.cached_property` that only one thread computes.

    The class has an `RLock` as `_lock`, which is held during the computation. `clear_cached` drops the value.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "locked_cached_property[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> "locked_cached_property[Value] | Value":
        if instance is None:
            return self
        with instance._lock:
            values = instance.__dict__  # attribute access finds a value there without calling this method
            if self._name not in values:
                values[self._name] = self._compute(instance)
            value: Value = values[self._name]
            return value


def clear_cached(instance: Any, name: str) -> None:
    """Drop the cached value of the property `name`, so that the next use computes it again."""
    with instance._lock:
        instance.__dict__.pop(name, None)
