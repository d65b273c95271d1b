import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media import memory, mending, photo
from clipsight.indexing.media.formats import open_reader, sniff
from clipsight.indexing.media.memory import BYTES_PER_PIXEL, MemoryBudget, decoding_bytes
from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files
from tests.support.decoding_memory import peak_bytes

SIZE = (3000, 2000)


PIXEL = BYTES_PER_PIXEL["PNG"]


class Watched(MemoryBudget):
    """A budget that knows how much was held at most."""

    most = 0

    @property
    def _used(self) -> int:
        return self.used

    @_used.setter
    def _used(self, used: int) -> None:
        self.used = used
        self.most = max(self.most, used)


def test_threads_hold_no_more_than_the_limit_together() -> None:
    budget = Watched(100)
    start = threading.Barrier(8)

    def work(thread: int) -> None:
        start.wait()
        for size in np.random.default_rng(thread).integers(1, 200, 300).tolist():
            with budget.reserve(size):
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert budget.used == 0
    assert 50 < budget.most <= 100


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A budget of one pixel: each picture needs all of it."""
    budget = Watched(PIXEL)
    for module in (memory, mending, photo):
        monkeypatch.setattr(module, "DECODING", budget)
    return budget


def test_a_photo_is_counted_until_it_is_released(budget: Watched) -> None:
    file = files.encode("PNG")
    decode(file, mtime_ns=0)
    assert (budget.used, budget.most) == (0, PIXEL)
    with ExitStack() as held:
        decode(file, mtime_ns=0, memory=held)
        assert budget.used == PIXEL
    assert budget.used == 0


@pytest.mark.parametrize("strict", [False, True])
def test_files_that_fail_or_are_mended_hold_nothing(budget: Watched, strict: bool) -> None:
    """A second attempt that waited for the memory of the first would wait for ever."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    for format in ("JPEG", "PNG", "BMP"):
        file = files.encode(format, noise)
        with ExitStack() as held:
            try:
                decode(file[: len(file) * 3 // 4], mtime_ns=0, memory=held, strict=strict)
            except PhotoError:
                assert budget.used == 0
        assert budget.used == 0


def counted(file: bytes) -> int:
    source = io.BytesIO(file)
    return decoding_bytes(open_reader(source, sniff(source)), len(file))


def large(format: str, mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """A file of few bytes and many pixels, turned where the format can say so."""
    grey = Image.linear_gradient("L").resize(size)
    image = Image.merge(mode, [grey] * Image.getmodebands(mode))
    if format in files.TURNABLE and format != "TIFF":  # libtiff refuses these tags
        options["exif"] = files.exif({0x0112: 6})
    return files.encode(format, image, **options)


@pytest.mark.parametrize(
    ("file", "pixels", "more"),
    [
        (files.encode("PNG"), 13, 0),
        (files.encode("WEBP"), 22, 0),
        (files.encode("JPEG"), 13, 0),
        (files.encode("JPEG", progressive=True), 13, 2 * 3 * 64 * 48),
        (files.encode("JPEG", Image.new("L", files.SIZE), progressive=True), 13, 2 * 64 * 48),
        (files.encode("TIFF"), 13, 0),
        (files.encode("TIFF", compression="tiff_lzw"), 13, 3 * 64 * 48),
    ],
)
def test_what_is_counted(file: bytes, pixels: int, more: int) -> None:
    assert counted(file) == pixels * 64 * 48 + more + 2 * len(file)


def test_coefficients_of_a_jpeg_in_several_scans_are_counted() -> None:
    """Each component has its own scan, which is not progressive."""
    file = files.encode("JPEG")
    at = file.index(b"\xff\xda")
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    several = file[:at] + scan + file[at + 14 :]
    assert counted(several) - counted(file) == 2 * 3 * 64 * 48 - 2 * 4


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")


@needs_linux
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("PNG", "LA", {}),
        ("WEBP", "RGBA", {"method": 0}),
        ("GIF", "L", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("JPEG2000", "RGBA", {}),
        ("PPM", "RGB", {}),
        ("AVIF", "RGBA", {"speed": 10}),
    ],
)
def test_a_format_takes_no_more_than_is_counted(
    tmp_path: Path, format: str, mode: str, options: dict[str, Any]
) -> None:
    big, small = tmp_path / "big", tmp_path / "small"
    big.write_bytes(large(format, mode, **options))
    small.write_bytes(large(format, mode, (64, 48), **options))
    peak = peak_bytes([big], [small])
    assert 4 * SIZE[0] * SIZE[1] < peak < counted(big.read_bytes()) * 1.1 + (8 << 20)


@needs_linux
@pytest.mark.process
@pytest.mark.slow
def test_floats_in_one_compressed_strip_take_no_more_than_is_counted(tmp_path: Path) -> None:
    import tifffile

    file = tmp_path / "floats.tif"
    values = np.broadcast_to(np.linspace(0, 1, 2000, dtype="f4")[:, None, None], (2000, 1500, 3))
    tifffile.imwrite(file, values, photometric="rgb", compression="zlib", rowsperstrip=2000)
    peak = peak_bytes([file], [file])
    assert counted(file.read_bytes()) == 37 * 2000 * 1500 + 2 * file.stat().st_size
    assert peak < counted(file.read_bytes()) * 1.1 + (8 << 20)


@needs_linux
@pytest.mark.process
@pytest.mark.slow
def test_threads_decode_huge_files_within_the_budget(tmp_path: Path) -> None:
    """Four threads would need four times as much as is there."""
    paths, small = [], []
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "JPEG2000", "AVIF"):
        options: dict[str, Any] = {"AVIF": {"speed": 10}, "WEBP": {"method": 0}}.get(format, {})
        paths.append(tmp_path / format)
        paths[-1].write_bytes(large(format, **options))
        small.append(tmp_path / f"small{format}")
        small[-1].write_bytes(large(format, size=(64, 48), **options))
    limit = max(counted(path.read_bytes()) for path in paths)
    files_ = paths * 2
    assert peak_bytes(files_, small, threads=4, limit=limit) < limit * 1.1 + (16 << 20)
    assert peak_bytes(files_, small, threads=4) > limit * 1.1 + (16 << 20)  # without a budget
