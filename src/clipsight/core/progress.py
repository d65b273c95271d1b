"""The protocol by which long operations report their progress."""

from typing import Protocol


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
