"""Is what indexing chooses for a machine as fast as the best that could have been chosen for it?

    python -m benchmarks.vit_b32 MODEL
    python -m benchmarks.photos PHOTOS --large 96
    python -m benchmarks.tuning PHOTOS WORK --model builtin MODEL

The photos are indexed with every fixed setting (photos a run of the encoder, CPU threads of a run, threads
that read and decode, JPEGs reduced or in full) and with the one that `indexing.autotune` chooses when
it measures, all in turn, in every round into a new library. The rate is photos a second for each core that
other processes left over, so that it means something on a busy machine too. `of best` is the median, over
the rounds, of a setting's rate by the best rate of all settings' medians.
"""

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from benchmarks import measure
from clipsight.indexing.autotune import (
    DEFAULT_SETTINGS,
    DecodeBenchmark,
    EncoderBenchmark,
    PipelineSettings,
    choose_settings,
)
from clipsight.indexing.changes import find_changes
from clipsight.indexing.core_limiter import CoreLimiter
from clipsight.indexing.pipeline import DecodeOptions, IndexProgress, Pipeline
from clipsight.models import registry
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.store.catalog import Catalog

_BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings of the pipeline and the number of threads, None for as many as it chooses."""

    pipeline: PipelineSettings
    threads: int | None = None

    def __str__(self) -> str:
        threads = "measured" if self.threads is None else self.threads
        size = "reduced" if self.pipeline.reduce_jpegs else "in full"
        batch_size, runs_on = self.pipeline.batch_size, self.pipeline.intra_op_threads
        return f"{batch_size} photos, {runs_on} CPU, {threads} threads, {size}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("work", type=Path, help="a folder for libraries")
    parser.add_argument("--model", nargs="+", default=["builtin"], help="names or folders of models")
    parser.add_argument("--times", type=int, default=5, help="rounds (default 5)")
    arguments = parser.parse_args()
    photos, work = arguments.photos.resolve(), arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    measure.print_machine("onnxruntime", "pillow", "numpy")
    for name in arguments.model:
        compare(ModelFolder.read(registry.locate(name)), photos, work, arguments.times)


def compare(folder: ModelFolder, photos: Path, work: Path, times: int) -> None:
    encoder = Encoder(folder)
    started = time.perf_counter()
    chosen = Setting(choose_settings(EncoderBenchmark(encoder), DecodeBenchmark(encoder), encoder.threads))
    print(f"\n{folder.name}: {chosen}, chosen in {time.perf_counter() - started:.1f} s")
    encoders = {each.pipeline.intra_op_threads: Encoder(folder) for each in settings()}
    encoders.setdefault(chosen.pipeline.intra_op_threads, encoder)
    rates: dict[Setting, list[float]] = {setting: [] for setting in [chosen, *settings()]}
    for round_ in range(times + 1):
        for setting in rates:
            rate = index(photos, work, encoders[setting.pipeline.intra_op_threads], setting)
            if round_:  # the first brings files into the page cache and loads the models
                rates[setting].append(rate)
    medians = {setting: statistics.median(each) for setting, each in rates.items()}
    best = max(medians.values())
    rows = [
        (str(setting), f"{rate:.2f}", f"{rate / best:.3f}", "chosen" if setting == chosen else "")
        for setting, rate in sorted(medians.items(), key=lambda item: -item[1])
    ]
    measure.print_table(("setting", "photos/s a core", "of best", ""), rows)


def settings() -> list[Setting]:
    """Each choice by itself, and batches with all numbers of CPU threads."""
    cores = measure.cores()
    batches = [
        PipelineSettings(batch, threads) for threads in dict.fromkeys((1, cores)) for batch in _BATCHES
    ]
    threads = [Setting(DEFAULT_SETTINGS, count) for count in (cores, cores + 2, 2 * cores + 2)]
    return [*map(Setting, batches), *threads, Setting(replace(DEFAULT_SETTINGS, reduce_jpegs=False))]


def index(photos: Path, work: Path, encoder: Encoder, setting: Setting) -> float:
    """Index into a new library; photos a second for each core that was to be had."""
    with tempfile.TemporaryDirectory(dir=work) as library, closing(Catalog(Path(library))) as catalog:
        folder = encoder.folder
        model = catalog.add_model(folder.fingerprint(), folder.name, str(folder.path), folder.embed_dim)
        progress = IndexProgress(find_changes(os.fsencode(photos), catalog, model).queued)
        pipeline = Pipeline(catalog, model, encoder, DecodeOptions(), progress, settings=setting.pipeline)
        cores = measure.CoreSeconds()
        if setting.threads is None:
            pipeline.run()
        else:
            with patch.object(CoreLimiter, "target_threads", setting.threads):
                pipeline.run()
        return progress.embedded / cores.so_far()


if __name__ == "__main__":
    main()
