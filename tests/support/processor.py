"""The floats and the threads of another processor, so that one machine shows what holds on all.

`CLIPSIGHT_TEST_THREADS=N` gives every encoder N threads. `CLIPSIGHT_TEST_NOISE=SEED` changes the last bits
of every embedding, each time it is computed, as another SIMD width, BLAS kernel or batch would: a test that
passes with several seeds depends on none of them. `scripts/test_matrix.py` runs both.
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clipsight.models import encoder

NOISE = 3e-7
"""Relative; the float32 sums of two kernels differ by so much."""


def imitate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply the two variables to the encoders of this process."""
    threads, seed = os.environ.get("CLIPSIGHT_TEST_THREADS"), os.environ.get("CLIPSIGHT_TEST_NOISE")
    if threads:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(int(threads))))
    if seed:
        generator = np.random.default_rng(int(seed))
        run = encoder.Encoder._run

        def noisy(self: encoder.Encoder, *arguments: Any) -> npt.NDArray[Any]:
            vectors = run(self, *arguments)
            factors = 1 + NOISE * generator.standard_normal(vectors.shape)
            return (vectors * factors).astype(vectors.dtype)

        monkeypatch.setattr(encoder.Encoder, "_run", noisy)
