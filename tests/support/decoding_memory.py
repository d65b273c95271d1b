"""Peak memory of decoding files in a process of its own. For tests and `benchmarks.decoding_memory`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = """
import ctypes, sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from clipsight.core.errors import PhotoError
from clipsight.indexing.media import memory, photo

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))

def decode(path):
    photo.decode(Path(path), mtime_ns=0, min_side=int(sys.argv[3]) or None)

libc = ctypes.CDLL(None)
libc.mallopt(-8, 1)  # M_ARENA_MAX: what is freed by one thread is used by the others
for small in sys.argv[4].split(":"):
    decode(small)  # loads the decoders' libraries
memory.DECODING.limit = int(sys.argv[2])
libc.malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")  # resets the peak
start = status("VmRSS")
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    list(pool.map(decode, sys.argv[5:]))
print(status("VmHWM") - start)
"""


def peak_bytes(
    files: Sequence[Path],
    small: Sequence[Path],
    *,
    threads: int = 1,
    limit: int = 1 << 40,
    min_side: int = 0,
) -> int:
    """Largest resident set while threads decode `files` within a budget, less that before.

    `small` are files of the same formats, which are decoded before that. Linux only.
    """
    arguments = [str(threads), str(limit), str(min_side), ":".join(map(str, small)), *map(str, files)]
    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments], capture_output=True, text=True, check=True
    )
    return int(run.stdout)
