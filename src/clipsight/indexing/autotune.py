"""The fastest indexing settings for a model on this machine: measured once, cached in clipsight's home.

On most machines the defaults are as fast as any others. Measuring helps on the other machines, and for models
whose ONNX graph has a fixed batch size.
"""

import io
import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsight.core import paths
from clipsight.core.errors import ClipsightError, InvalidVectorError
from clipsight.core.files import atomic_write
from clipsight.indexing.media.photo import decode

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

MIN_FILES_PER_CORE = 2_500
"""Queued files per core from which a run measures first; measuring takes as long as indexing some 60."""

_BATCH_SIZES = (1, 2, 4, 8, 16)
_MIN_GAIN = 0.03
"""Minimum relative gain over the best settings so far: the choice has at least 0.95 of the best speed."""
_MEASURE_SECONDS = 0.2  # for each setting; at least one run
_JPEG_SIZE = (4000, 3000)  # pixels of the JPEG for the decoding benchmark
_JPEG_NOISE = 12  # its noise, of 255, which gives about the file size per pixel of a camera
_MAX_CACHED = 64


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Settings of the indexing pipeline that affect its speed."""

    batch_size: int = 4
    """photos in one run of the encoder"""
    intra_op_threads: int = 1
    """CPU threads of one run of the encoder; as many runs are concurrent as there are cores for"""
    reduce_jpegs: bool = True
    """decode large JPEGs at a reduced DCT scale (`media.photo.DCT_MARGIN`), unless `exact` is set"""


DEFAULT_SETTINGS = PipelineSettings()
"""For runs too short to measure; the best of `benchmarks/sessions.py` and `benchmarks/tuning.py`."""


@dataclass(frozen=True, slots=True)
class TimePerPhoto:
    """Seconds per photo: elapsed, and CPU time of all cores together."""

    wall: float
    cpu: float

    def is_faster_than(self, other: "TimePerPhoto") -> bool:
        """True if both times are lower by `_MIN_GAIN`.

        Neither is reliable alone: other programs affect the elapsed time, and the CPU time does not include
        cores that wait for each other.
        """
        return self.wall < other.wall * (1 - _MIN_GAIN) and self.cpu < other.cpu * (1 - _MIN_GAIN)


Measure = Callable[[PipelineSettings], TimePerPhoto]
"""A benchmark of one stage of the pipeline."""


def settings_for(encoder: "Encoder", fingerprint: str, queued: int) -> PipelineSettings:
    """Return the cached settings for this machine and model; without any, measure if `queued` is enough."""
    if encoder.device != "cpu":
        return DEFAULT_SETTINGS
    cached = load_settings(fingerprint, encoder.threads)
    if cached is not None:
        return cached
    if queued < MIN_FILES_PER_CORE * encoder.threads:
        return DEFAULT_SETTINGS
    chosen = choose_settings(EncoderBenchmark(encoder), DecodeBenchmark(encoder), encoder.threads)
    _save(_key(fingerprint, encoder.threads), chosen)
    return chosen


def choose_settings(encoder: Measure, decoding: Measure, cores: int) -> PipelineSettings:
    """Return the fastest settings; the defaults unless others are faster by `_MIN_GAIN`.

    Tries all batch sizes, then doubles the threads of a run, and its batch, as long as that is faster.
    """
    best, best_time = DEFAULT_SETTINGS, encoder(DEFAULT_SETTINGS)
    for batch_size in _BATCH_SIZES:
        if batch_size != DEFAULT_SETTINGS.batch_size:
            tried = replace(DEFAULT_SETTINGS, batch_size=batch_size)
            tried_time = encoder(tried)
            if tried_time.is_faster_than(best_time):
                best, best_time = tried, tried_time
    threads, batch_size = 2, best.batch_size
    while threads <= cores:
        tried = replace(
            best, intra_op_threads=threads, batch_size=min(batch_size * threads, _BATCH_SIZES[-1])
        )
        tried_time = encoder(tried)
        if not tried_time.is_faster_than(best_time):
            break
        best, best_time = tried, tried_time
        threads *= 2
    full_size = replace(best, reduce_jpegs=False)
    return full_size if decoding(full_size).is_faster_than(decoding(best)) else best


def load_settings(fingerprint: str, threads: int) -> PipelineSettings | None:
    """Return the settings cached for this machine, the model of `fingerprint` and `threads`, if any."""
    return _validated(_read_cache().get(_key(fingerprint, threads)), threads)


# -- measuring ------------------------------------------------------------------


@dataclass
class EncoderBenchmark:
    """Time of the image encoder on noise, on all its cores."""

    encoder: "Encoder"

    def __call__(self, settings: PipelineSettings) -> TimePerPhoto:
        """Measure with the batch size and threads of `settings`, which stay set in the encoder."""
        encoder = self.encoder
        height, width = encoder.input_size
        size = (settings.batch_size, height, width, 3)
        pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        encoder.set_intra_op_threads(settings.intra_op_threads)
        with suppress(InvalidVectorError):
            encoder.encode_pixels(pixels[:1])  # loads the model
        stop = Event()
        with ThreadPoolExecutor(encoder.workers) as pool:

            def encode_on_all_workers() -> None:
                encode = partial(encoder.encode_pixels, pixels, stop=stop)
                for run in [pool.submit(encode) for _ in range(encoder.workers)]:
                    with suppress(InvalidVectorError):  # invalid vectors of noise take as long as valid ones
                        run.result()

            try:
                return _measure(encode_on_all_workers, settings.batch_size * encoder.workers)
            except BaseException:  # an interrupt: the runs in progress would not end by themselves
                encoder.cancel(stop)
                raise


@dataclass
class DecodeBenchmark:
    """Time to decode and preprocess a noisy JPEG of a camera's size, on one core."""

    encoder: "Encoder"

    def __call__(self, settings: PipelineSettings) -> TimePerPhoto:
        """Measure with the `reduce_jpegs` of `settings`."""
        min_side = max(self.encoder.input_size) if settings.reduce_jpegs else None
        file = self._file

        def decode_once() -> None:
            self.encoder.preprocess(decode(file, mtime_ns=0, min_side=min_side).image)

        return _measure(decode_once, 1)

    @cached_property
    def _file(self) -> bytes:
        from PIL import Image

        noise = Image.effect_noise(_JPEG_SIZE, _JPEG_NOISE)
        file = io.BytesIO()
        Image.merge("RGB", [noise, noise, noise]).save(file, "JPEG", quality=88)
        return file.getvalue()


def _measure(run: Callable[[], object], photos: int) -> TimePerPhoto:
    """Minimum times over several runs, separately for elapsed and CPU time."""
    times: list[TimePerPhoto] = []
    end = time.perf_counter() + _MEASURE_SECONDS
    while not times or time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        times.append(
            TimePerPhoto((time.perf_counter() - wall) / photos, (time.process_time() - cpu) / photos)
        )
    return TimePerPhoto(min(each.wall for each in times), min(each.cpu for each in times))


# -- cache ----------------------------------------------------------------------
# If the file is damaged or can't be written, the machine is measured again.


def _file() -> Path:
    return paths.home() / "tuning.json"


def _key(fingerprint: str, threads: int) -> str:
    import onnxruntime

    return f"{fingerprint} {threads} threads, onnxruntime {onnxruntime.__version__}, {processor_name()}"


def processor_name() -> str:
    """Architecture and processor of this machine, as the system names them."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{platform.machine()} {line.partition(':')[2].strip()}"
    return f"{platform.machine()} {platform.processor()}"


def _read_cache() -> dict[str, Any]:
    try:
        content = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _validated(entry: object, threads: int) -> PipelineSettings | None:
    """The settings of a cache entry; None for an invalid entry."""
    if not isinstance(entry, dict) or entry.keys() != {field.name for field in fields(PipelineSettings)}:
        return None
    if [type(entry[field.name]) for field in fields(PipelineSettings)] != [int, int, bool]:
        return None
    settings = PipelineSettings(**entry)
    valid = settings.batch_size in _BATCH_SIZES and 1 <= settings.intra_op_threads <= threads
    return settings if valid else None


def _save(key: str, settings: PipelineSettings) -> None:
    others = {name: entry for name, entry in _read_cache().items() if name != key}
    newest = dict([*others.items(), (key, asdict(settings))][-_MAX_CACHED:])
    with suppress(ClipsightError, OSError):
        paths.home().mkdir(parents=True, exist_ok=True)
        with atomic_write(_file()) as temporary:
            temporary.write_text(json.dumps(newest, indent=1))
