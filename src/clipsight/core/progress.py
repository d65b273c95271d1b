"""Progress of long operations: reported to a callback, or shown by a tqdm bar."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol, TypeAlias

from clipsight.core.errors import ClipsightError


class Progress(Protocol):
    """Callback with the number of items done and their total."""

    def __call__(self, done: int, total: int, /) -> None:
        """Show the progress."""


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


class StageProgress(Protocol):
    """Callback with the name of a stage, the number of items done, and their total if it is known."""

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        """Show the progress."""


def no_stage_progress(stage: str, done: int, total: int | None) -> None:
    """Show nothing."""


class Bar(Protocol):
    """A progress bar as tqdm makes them."""

    n: Any
    """Items done."""
    total: Any

    def refresh(self) -> Any:
        """Draw the bar as it is now."""

    def close(self) -> Any:
        """Finish the bar."""


ProgressLike: TypeAlias = Progress | type[Any] | Bar | bool | None
"""Display of progress: True (a tqdm bar), tqdm's class, one of its bars, or a function of (done, total); None
and False show nothing."""

StageProgressLike: TypeAlias = StageProgress | type[Any] | Bar | bool | None
"""The same for operations of several stages: a function of (stage, done, total), or bars, one for each."""


@contextmanager
def as_progress(progress: ProgressLike, stage: str) -> Iterator[Progress]:
    """Yield a callback that shows progress as `progress` says; `stage` is the title of a bar.

    Raises `ClipsightError` for anything but a `ProgressLike`.
    """
    if _shows_nothing(progress):
        yield no_progress
    elif _is_bar(progress):
        with as_stage_progress(progress) as show:  # type: ignore[arg-type]
            yield partial(show, stage)
    else:
        yield progress  # type: ignore[misc]


@contextmanager
def as_stage_progress(progress: StageProgressLike) -> Iterator[StageProgress]:
    """As `as_progress`, for an operation of several stages, each with its own bar."""
    if _shows_nothing(progress):
        yield no_stage_progress
    elif not _is_bar(progress):
        yield progress  # type: ignore[misc]
    elif progress is True or callable(progress):
        with ExitStack() as finished:
            yield _Bars(_tqdm() if progress is True else progress, finished)
    else:
        yield lambda stage, done, total: _show(progress, done, total)  # type: ignore[arg-type]


class _Bars:
    """Bars, one for each stage, closed when `finished` is closed."""

    def __init__(self, make: Callable[..., Any], finished: ExitStack) -> None:
        self._make, self._finished = make, finished
        self._bars: dict[str, Bar] = {}

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._make(total=total, desc=stage)
            self._finished.callback(self._bars[stage].close)
        _show(self._bars[stage], done, total)


def _show(bar: Bar, done: int, total: int | None) -> None:
    bar.n, bar.total = done, total
    bar.refresh()


def _tqdm() -> Any:
    from tqdm.auto import tqdm

    return tqdm


def _shows_nothing(progress: object) -> bool:
    if progress is None or progress is False:
        return True
    if not (progress is True or _is_bar(progress) or callable(progress)):
        raise ClipsightError(f"`progress` takes True, tqdm or a function of (done, total), not {progress!r}")
    return False


def _is_bar(progress: object) -> bool:
    """True for tqdm's class, also with arguments bound by `functools.partial`, and for one of its bars."""
    made = progress.func if isinstance(progress, partial) else progress
    return progress is True or (hasattr(made, "refresh") and hasattr(made, "close"))
