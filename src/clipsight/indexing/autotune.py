"""How this machine indexes fastest with a model: measured once, kept in clipsight's home, used from then on.

Called by `pipeline` at the start of a run. Most machines gain nothing over the defaults, and then keep
them; what the measurement is for are the others, and models whose graphs take a fixed number of photos.
"""

import io
import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsight.core import paths
from clipsight.core.errors import ClipsightError
from clipsight.core.files import replacing
from clipsight.indexing.media.photo import decode

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

PAYS = 500
"""Files queued for each core from which a run measures: that costs the time of about 40 of them, once."""

_BATCHES = (1, 2, 4, 8, 16)
_GAIN = 0.03
"""What a setting must gain to be preferred to one tried before: less than 0.95 of the best is never taken."""
_SECONDS = 0.2  # a setting is measured for so long, or once
_CAMERA = (4000, 3000)  # pixels of the JPEG that decoding is measured with,
_GRAIN = 12  # and the noise in it, of 255, for about the bytes a pixel of a camera's file
_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Tuning:
    """How photos go through decoding and the encoder.

    `batch` is how many go to the encoder at once, `threads_a_run` how many CPU threads then work on them
    (as many runs go on at once as there are cores for), `reduce` whether large JPEGs are decoded at the
    reduced scale that `decode.DCT_MARGIN` allows, where the user has not asked for full size.
    """

    batch: int = 4
    threads_a_run: int = 1
    reduce: bool = True


DEFAULT = Tuning()
"""For runs too short to measure; what `benchmarks/sessions.py` and `benchmarks/tuning.py` found best."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds a photo, of the clock on the wall and of all cores together."""

    wall: float
    cpu: float

    def beats(self, other: "Cost") -> bool:
        """Whether it is less by both clocks.

        The wall's alone would take another program's pause for a gain, the cores' alone would not
        see them wait for each other.
        """
        return self.wall < other.wall * (1 - _GAIN) and self.cpu < other.cpu * (1 - _GAIN)


EncoderCost = Callable[[Tuning], Cost]
"""Measures the encoder with a tuning's batch and threads."""
DecodeCost = Callable[[Tuning], Cost]
"""Measures decoding with a tuning's `reduce`."""


def tuning_for(encoder: "Encoder", fingerprint: str, queued: int) -> Tuning:
    """What to index with: as kept for this machine and model, else measured if `queued` files are enough."""
    if encoder.device != "cpu":
        return DEFAULT
    kept = kept_tuning(fingerprint, encoder.threads)
    if kept is not None:
        return kept
    if queued < PAYS * encoder.threads:
        return DEFAULT
    chosen = choose(EncoderProbe(encoder), DecodeProbe(encoder), encoder.threads)
    _keep(_key(fingerprint, encoder.threads), chosen)
    return chosen


def choose(encoder: EncoderCost, decoding: DecodeCost, cores: int) -> Tuning:
    """The best tuning by what the two measure; what costs as much as the default does not replace it.

    All batches are tried, then more threads a run, each with as many photos as before, while that gains.
    """
    best, cost = DEFAULT, encoder(DEFAULT)
    for batch in _BATCHES:
        if batch != DEFAULT.batch:
            best, cost, _ = _better(encoder, best, cost, replace(DEFAULT, batch=batch))
    gains, threads, batch = True, 2, best.batch
    while gains and threads <= cores:
        more = replace(best, threads_a_run=threads, batch=min(batch * threads, _BATCHES[-1]))
        best, cost, gains = _better(encoder, best, cost, more)
        threads *= 2
    in_full = replace(best, reduce=False)
    return in_full if decoding(in_full).beats(decoding(best)) else best


def kept_tuning(fingerprint: str, threads: int) -> Tuning | None:
    """What was found on this machine for the model of `fingerprint` and so many threads; None if nothing."""
    return _tuning(_read().get(_key(fingerprint, threads)), threads)


def _better(measure: EncoderCost, best: Tuning, cost: Cost, other: Tuning) -> tuple[Tuning, Cost, bool]:
    """The better of the best so far and another, with its cost, and whether it is the other."""
    measured = measure(other)
    return (other, measured, True) if measured.beats(cost) else (best, cost, False)


# -- measuring ------------------------------------------------------------------


@dataclass
class EncoderProbe:
    """Runs the encoder on noise, on all its cores."""

    encoder: "Encoder"

    def __call__(self, tuning: Tuning) -> Cost:
        encoder = self.encoder
        height, width = encoder.input_size
        size = (tuning.batch, height, width, 3)
        pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        encoder.use_threads_a_run(tuning.threads_a_run)
        encoder.encode_pixels(pixels[:1])  # loads the model
        with ThreadPoolExecutor(encoder.workers) as pool:

            def everywhere() -> None:
                for running in [pool.submit(encoder.encode_pixels, pixels) for _ in range(encoder.workers)]:
                    running.result()

            try:
                return _cost(everywhere, tuning.batch * encoder.workers)
            except BaseException:  # an interrupt: those that run need not end by themselves
                encoder.cancel()
                raise


@dataclass
class DecodeProbe:
    """Decodes a JPEG of a camera's size and noise to what the model sees, on one core."""

    encoder: "Encoder"

    def __call__(self, tuning: Tuning) -> Cost:
        side = max(self.encoder.input_size) if tuning.reduce else None
        file = self._file

        def once() -> None:
            self.encoder.preprocess(decode(file, mtime_ns=0, min_side=side).image)

        return _cost(once, 1)

    @cached_property
    def _file(self) -> bytes:
        from PIL import Image

        noise = Image.effect_noise(_CAMERA, _GRAIN)
        file = io.BytesIO()
        Image.merge("RGB", [noise, noise, noise]).save(file, "JPEG", quality=88)
        return file.getvalue()


def _cost(work: Callable[[], object], photos: int) -> Cost:
    """The least of some runs, by each clock."""
    costs: list[Cost] = []
    end = time.perf_counter() + _SECONDS
    while not costs or time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        costs.append(Cost((time.perf_counter() - wall) / photos, (time.process_time() - cpu) / photos))
    return Cost(min(cost.wall for cost in costs), min(cost.cpu for cost in costs))


# -- keeping --------------------------------------------------------------------
# A convenience only: where the file is damaged or can't be written, the machine is measured again.


def _file() -> Path:
    return paths.home() / "tuning.json"


def _key(fingerprint: str, threads: int) -> str:
    import onnxruntime

    return f"{fingerprint} {threads} threads, onnxruntime {onnxruntime.__version__}, {processor()}"


def processor() -> str:
    """This machine's architecture and processor, as the system names them."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{platform.machine()} {line.partition(':')[2].strip()}"
    return f"{platform.machine()} {platform.processor()}"


def _read() -> dict[str, Any]:
    try:
        content = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _tuning(kept: object, threads: int) -> Tuning | None:
    """What is kept, if it can be what `_keep` wrote."""
    if not isinstance(kept, dict) or kept.keys() != {field.name for field in fields(Tuning)}:
        return None
    if [type(kept[field.name]) for field in fields(Tuning)] != [int, int, bool]:
        return None
    tuning = Tuning(**kept)
    return tuning if tuning.batch in _BATCHES and 1 <= tuning.threads_a_run <= threads else None


def _keep(key: str, tuning: Tuning) -> None:
    others = {name: kept for name, kept in _read().items() if name != key}
    newest = dict([*others.items(), (key, asdict(tuning))][-_MOST_KEPT:])
    with suppress(ClipsightError, OSError):
        paths.home().mkdir(parents=True, exist_ok=True)
        with replacing(_file()) as written:
            written.write_text(json.dumps(newest, indent=1))
