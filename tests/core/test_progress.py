"""Progress is reported to a function, or shown by a bar of tqdm."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tqdm import tqdm

from clipsight import Library
from clipsight.core.errors import ClipsightError
from clipsight.core.progress import as_progress, as_stage_progress
from clipsight.indexing.report import as_observer


class Bar(tqdm):  # type: ignore[misc]
    """A bar that is remembered, and writes nothing."""

    made: ClassVar[list["Bar"]] = []

    def __init__(self, **options: Any) -> None:
        self.file = io.StringIO()
        self.closed = False
        self.shown: list[tuple[int, int | None]] = []
        super().__init__(file=self.file, **options)
        Bar.made.append(self)

    def refresh(self, *arguments: Any, **options: Any) -> None:
        self.shown.append((self.n, self.total))
        super().refresh(*arguments, **options)

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture(autouse=True)
def bars() -> list[Bar]:
    Bar.made = []
    return Bar.made


@pytest.mark.parametrize("nothing", [None, False])
def test_nothing_is_shown(nothing: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    with as_progress(nothing, "x") as show:
        show(1, 2)
    with as_stage_progress(nothing) as show_stage:
        show_stage("x", 1, None)
    assert capsys.readouterr() == ("", "")


def test_a_function_is_called() -> None:
    heard: list[Any] = []
    with as_progress(lambda done, total: heard.append((done, total)), "x") as show:
        show(1, 2)
    with as_stage_progress(lambda *step: heard.append(step)) as show_stage:
        show_stage("x", 1, None)
    assert heard == [(1, 2), ("x", 1, None)]


@pytest.mark.parametrize("make", [Bar, partial(Bar, leave=False)])
def test_a_class_makes_a_bar_and_closes_it(make: Any, bars: list[Bar]) -> None:
    with as_progress(make, "adding") as show:
        assert bars == []  # until there is something to show
        for done in (0, 3, 5):
            show(done, 5)
        assert not bars[0].closed
    (bar,) = bars
    assert bar.closed and [step for step in bar.shown if step[1]][-3:] == [(0, 5), (3, 5), (5, 5)]
    assert "adding" in bar.file.getvalue() and "5/5" in bar.file.getvalue()


def test_stages_have_bars_of_their_own_that_are_closed_after_an_error(bars: list[Bar]) -> None:
    with pytest.raises(KeyboardInterrupt), as_stage_progress(Bar) as show:
        show("words", 1, 4)
        show("region", 1, None)
        show("words", 4, 4)
        raise KeyboardInterrupt
    assert [(bar.n, bar.total, bar.closed) for bar in bars] == [(4, 4, True), (1, None, True)]
    assert "words" in bars[0].file.getvalue() and "region" in bars[1].file.getvalue()


def test_a_callers_own_bar_is_left_open() -> None:
    bar = Bar(desc="mine")
    with as_progress(bar, "x") as show:
        show(2, 3)
    assert (bar.n, bar.total, bar.closed) == (2, 3, False)
    bar.close()


def test_true_is_a_bar_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with as_progress(True, "embedding texts") as show:
        show(3, 3)
    out, err = capsys.readouterr()
    assert out == "" and "embedding texts" in err and "3/3" in err


@pytest.mark.parametrize("wrong", [1, "yes", 0.5, []])
def test_other_objects_than_progress_are_refused(wrong: Any, library: Library, photos: Path) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: as_progress(wrong, "x").__enter__(),
        lambda: as_stage_progress(wrong).__enter__(),
        lambda: library.index(photos, progress=wrong),
        lambda: Library.check(library.path, progress=wrong),
    ]
    for call in calls:
        with pytest.raises(ClipsightError, match="`progress` takes True, tqdm or a function of"):
            call()


def test_an_observer_is_passed_on_unchanged() -> None:
    class Observer:
        def scanned(self, files: int) -> None: ...
        def progressed(self, progress: object) -> None: ...

    with as_observer(observer := Observer()) as observer_used:
        assert observer_used is observer


@pytest.mark.slow
def test_calls_of_the_library_show_their_progress(
    library: Library, photos: Path, tmp_path: Path, bars: list[Bar]
) -> None:
    heard: list[tuple[int, int]] = []
    library.index(photos, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (8, 8)
    (tmp_path / "texts.txt").write_text("a cat\na rocket\n")
    (photos / "new.png").write_bytes((photos / "cat.png").read_bytes())
    library.index(photos, progress=Bar)
    library.match(np.ones(32), tmp_path / "texts.txt", progress=Bar)
    library.explain("a cat", photos / "cat.png", progress=Bar)
    Library.check(library.path, photos=1, progress=Bar)
    library.optimize(progress=Bar)
    finished = [bar.desc.removesuffix(": ") for bar in bars if bar.closed and bar.n == bar.total]
    assert finished[:4] == ["indexing", "embedding texts", "words", "region"] and len(finished) > 4
