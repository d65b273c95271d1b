"""A library under `kill -9`: random steps over random changes, killed at random calls and moments.

    python -m tests.durability.kills --kills 200 [--seed 0]

After every kill the library is opened and held against what must be true (`world`): nothing that was
committed is lost, no vector is under the wrong photo, `clipsight check` says consistent, index files
find what is there. Now and then all is indexed to the end and every photo is read and embedded again.
Another process reads all the while. Prints what was killed how often.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipsight.maintenance.check_catalog import integrity_problems
from tests.durability import work
from tests.durability.faults import Action, Fault, Faults, Outcome
from tests.durability.world import World, new_world
from tests.support.samples import SAMPLES

PICTURE = SAMPLES["cat.png"]
_AT_START = 24
_EVERY = 8  # kills after which all is indexed to the end
_BY_CALL = 0.7  # share of kills at a call that changes files, of which the others are by the clock


@dataclass(frozen=True)
class Step:
    """Work to be killed, how often it is chosen, and the folder it forgets."""

    name: str
    weight: int
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    forgets: Path | None = None


@dataclass
class Kills:
    """One run, until there were `wanted` kills."""

    faults: Faults
    world: World
    wanted: int
    killed: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    """How often the other process has searched meanwhile."""
    _calls: dict[str, int] = field(default_factory=dict)
    """The most calls that a step is known to make."""
    _seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Kill, look, go on; AssertionError as soon as something is not as it must be."""
        self.world.add(_AT_START)
        self._finish_indexing()
        end = self.world.folder / "end"
        reader = self.faults.start(work.read_on, self.world.library, PICTURE, end)
        try:
            for step in self._steps():
                self._try(step, None)
            while self.killed.total() < self.wanted:
                self.world.disturb()
                steps = self._steps()
                (step,) = self.world.chance.choices(steps, [step.weight for step in steps])
                self._try(step, self._fault(step))
                if self.killed.total() % _EVERY == 0:
                    self._finish_indexing()
            self._finish_indexing()
        finally:
            end.touch()
            self.reads = reader.wait().result

    def _steps(self) -> list[Step]:
        """What may be done now."""
        world, library = self.world, self.world.library
        current = world.current_model()
        (other,) = set(world.models) - {current}
        folder = world.photos / world.chance.choice(("a", "b"))
        return [
            Step("index", 6, work.index, (library, world.photos, current)),
            Step("switch", 3, work.index, (library, world.photos, other)),
            Step("search", 3, work.search, (library, PICTURE)),
            Step("optimize", 2, work.optimize, (library,)),
            Step("label", 1, work.label, (library,)),
            Step("backup", 1, work.back_up, (library, self._backup)),
            Step("repair", 1, work.repair, (library,)),
            Step("forget", 1, work.forget, (library, folder), forgets=folder),
        ]

    @property
    def _backup(self) -> Path:
        return self.world.folder / "backup.sqlite3"

    def _fault(self, step: Step) -> Fault:
        """A kill at one of the calls that the step is known to make; before, within or after it."""
        action = self.world.chance.choice((Action.KILL_BEFORE, Action.KILL_WITHIN, Action.KILL_AFTER))
        return Fault(self.world.folder, action, at=self.world.chance.randint(1, int(self._calls[step.name])))

    def _try(self, step: Step, fault: Fault | None) -> None:
        """Run a step, which is killed by `fault`, or by the clock, or not at all, and look what it left."""
        world = self.world
        before = world.seen()
        outcome = self._run(step, fault)
        assert outcome.error is None, outcome.error
        (self.killed if outcome.killed else self.finished)[step.name] += 1
        after = world.seen()
        world.nothing_lost(before, after, step.forgets)
        if outcome.reported:
            assert after.last_id - before.last_id >= outcome.reported[-1], "a commit that was told of is lost"
        world.sound()
        world.findable(2)
        if self._backup.exists():
            assert not integrity_problems(self._backup)

    def _run(self, step: Step, fault: Fault | None) -> Outcome:
        started = time.monotonic()
        if fault is not None and self.faults.counts_calls and self.world.chance.random() < _BY_CALL:
            outcome = self.faults.run(step.work, *step.arguments, fault=fault)
        else:
            running = self.faults.start(step.work, *step.arguments, fault=Fault(self.world.folder))
            if fault is None:
                outcome = running.wait()
            else:
                outcome = running.wait_or_kill(self.world.chance.uniform(0, self._seconds[step.name]))
        if not outcome.killed:
            self._calls[step.name] = max(1, outcome.calls, self._calls.get(step.name, 0))
            self._seconds[step.name] = time.monotonic() - started
        return outcome

    def _finish_indexing(self) -> None:
        """Index to the end, and read every photo again."""
        arguments = (self.world.library, self.world.photos, self.world.current_model())
        outcome = self.faults.run(work.index, *arguments)
        assert outcome.error is None, outcome.error
        self.world.complete()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        run = Kills(Faults(Path(name)), new_world(Path(name) / "world", options.seed), options.kills)
        run.run()
        print(f"{run.killed.total()} kills in {time.monotonic() - started:.0f} s, seed {options.seed}")
        for step, count in run.killed.most_common():
            print(f"  {step}: {count} kills; {run.finished[step]} times it was done")
        print(f"  {len(run.world.contents)} photos; another process searched {run.reads} times meanwhile")


if __name__ == "__main__":
    main()
