"""A disk that is full, or fails, at every call that changes files.

    python -m tests.durability.disk [--every 1]

Each step (index, switch, search...) is done over and over on the same library, each time with the next
of its calls failing: no room from then on; one I/O error; I/O errors from then on, of reads too. The step
may succeed, where a index file can't be written, or end with its one line; afterwards the library must be
what `world` says. Prints how many calls failed and what was said.
"""

import argparse
import errno
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.durability import work
from tests.durability.faults import Action, Fault, Faults
from tests.durability.kills import Step
from tests.durability.world import World, new_world
from tests.support.samples import SAMPLES

PICTURE = SAMPLES["cat.png"]
_AT_START = 10


@dataclass(frozen=True)
class Failure:
    """What happens to the disk."""

    name: str
    action: Action
    error: int
    reads: bool


FAILURES = (
    Failure("no room from then on", Action.FAIL_ALWAYS, errno.ENOSPC, False),
    Failure("one I/O error", Action.FAIL_ONCE, errno.EIO, True),
    Failure("I/O errors from then on", Action.FAIL_ALWAYS, errno.EIO, True),
)


@dataclass
class Disk:
    """A library with photos that have changed since it was indexed, the same for every call."""

    faults: Faults
    world: World

    def __post_init__(self) -> None:
        world = self.world
        world.add(_AT_START)
        for step in (work.index, work.search, work.optimize, work.label):
            arguments = {work.index: (world.photos, world.models[0]), work.search: (PICTURE,)}.get(step, ())
            assert self.faults.run(step, world.library, *arguments).error is None
        world.complete()
        world.disturb()
        world.library.rename(self._kept)
        self._reset()

    @property
    def _kept(self) -> Path:
        return self.world.folder / "library-as-it-was"

    def steps(self) -> tuple[Step, ...]:
        """What is done, with a disk that fails."""
        world, library = self.world, self.world.library
        folder = world.photos / "b"
        return (
            Step("index", 1, work.index, (library, world.photos, world.models[0])),
            Step("switch", 1, work.index, (library, world.photos, world.models[1])),
            Step("search", 1, work.search, (library, PICTURE)),
            Step("optimize", 1, work.optimize, (library,)),
            Step("label", 1, work.label, (library,)),
            Step("forget", 1, work.forget, (library, folder), forgets=folder),
            Step("repair", 1, work.repair, (library,)),
        )

    def fail(self, step: Step, failure: Failure, every: int, first: int = 1) -> Iterator[str]:
        """Do the step with each `every`-th call failing; what it said of each, "" if it succeeded."""
        counting = self._fault(failure, Action.NOTHING, 0)
        calls = self.faults.run(step.work, *step.arguments, fault=counting).calls
        self._reset()
        before = self.world.seen()
        for at in range(first, calls + 1, every):
            outcome = self.faults.run(
                step.work, *step.arguments, fault=self._fault(failure, failure.action, at)
            )
            said = outcome.error or ""
            assert "\n" not in said
            self.world.nothing_lost(before, self.world.seen(), step.forgets)
            self.world.sound()
            assert not list(self.world.library.glob("catalog.sqlite3.*")), "a sound catalog was set aside"
            if at % (5 * every) == first:
                outcome = self.faults.run(
                    work.index, self.world.library, self.world.photos, self.world.current_model()
                )
                assert outcome.error is None, outcome.error
                self.world.complete()
            self._reset()
            yield said

    def _fault(self, failure: Failure, action: Action, at: int) -> Fault:
        folder = self.world.folder if failure.reads else self.world.library
        return Fault(folder, action, at, failure.error, failure.reads)

    def _reset(self) -> None:
        shutil.rmtree(self.world.library, ignore_errors=True)
        shutil.copytree(self._kept, self.world.library)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="fail each so-manieth call only")
    every = parser.parse_args().every
    with tempfile.TemporaryDirectory() as name:
        disk = Disk(Faults(Path(name)), new_world(Path(name) / "world", 0))
        for failure in FAILURES:
            for step in disk.steps():
                started = time.monotonic()
                said = Counter(disk.fail(step, failure, every))
                print(
                    f"{failure.name}, {step.name}: {said.total()} calls, {said['']} times it succeeded, "
                    f"{time.monotonic() - started:.0f} s"
                )
                for line in said - Counter({"": said.total()}):
                    print(f"    {line.replace(name, '')}")


if __name__ == "__main__":
    main()
