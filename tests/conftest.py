"""Fixtures shared by all tests: a home of their own, real photos, a tiny model, a library."""

import os
import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

# Workers of pytest share the cores with each other and with other jobs: threads of BLAS and OpenMP that spin
# while they wait take ten times as long there for the smallest of regressions. Before NumPy or PyTorch is
# imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from clipsight import Library
from tests.support import processor, sharing
from tests.support.properties import PATIENT, USUAL
from tests.support.samples import copy_samples

_SLOW_IMPORTS = {"torch", "transformers", "matplotlib", "skimage"}
_HOMES = count()
_MARKERS = ("slow", "process", "browser", "torch")

settings.register_profile("all", max_examples=USUAL, **PATIENT)
settings.register_profile("dev", max_examples=USUAL // 10, **PATIENT)  # of `just test`
settings.load_profile("all")


def pytest_xdist_auto_num_workers() -> int:
    """How many workers `-n auto` starts: one a core, but each takes up to a gigabyte."""
    return min(os.cpu_count() or 1, 8)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import modules of which every test is deselected: their imports take seconds."""
    left_out = re.findall(r"not (\w+)", config.option.markexpr)
    if not left_out or not collection_path.name.startswith("test_"):
        return None
    marked = rf"^pytestmark = .*pytest\.mark\.({'|'.join(left_out)})\b"
    return bool(re.search(marked, collection_path.read_text(encoding="utf-8"), re.MULTILINE)) or None


@pytest.fixture(scope="session", autouse=True)
def another_processor() -> Iterator[None]:
    """The threads and the floats that `support.processor` is asked for; by default those of this machine."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        processor.imitate(monkeypatch)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared() -> Iterator[None]:
    """What `support.sharing` makes once a process."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        sharing.share(monkeypatch)
        yield


@pytest.fixture(autouse=True)
def marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that imports what takes seconds to import has a marker for it."""
    before = _slow_imports()
    yield
    found = _slow_imports() - before
    if found and not any(map(request.node.get_closest_marker, _MARKERS)):
        pytest.fail(f"imports {', '.join(sorted(found))}: mark it as slow or torch")


def _slow_imports() -> set[str]:
    return {name for name in _SLOW_IMPORTS if getattr(sys.modules.get(name), "__spec__", None)}


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own CLIPSIGHT_HOME, not made yet, and no test asks the real hub for anything."""
    folder = tmp_path_factory.getbasetemp() / f"home{next(_HOMES)}"
    monkeypatch.setenv("CLIPSIGHT_HOME", str(folder))
    monkeypatch.setenv("CLIPSIGHT_CONFIG", "/dev/null")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    for variable in (
        "LC_ALL",
        "LC_MESSAGES",
        "LANG",
        "CLIPSIGHT_LIBRARY",
        "CLIPSIGHT_MODEL",
        "CLIPSIGHT_QUIET",
    ):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def home(own_home: Path) -> Path:
    """The test's CLIPSIGHT_HOME."""
    own_home.mkdir(exist_ok=True)
    return own_home


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with the real sample photos."""
    return copy_samples(tmp_path / "photos")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that embeds in microseconds: same colours, near vectors."""
    from tests.support.tiny_models import make_model_folder

    return make_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def library(tmp_path: Path, tiny_model: Path) -> Iterator[Library]:
    """An empty library of the tiny model."""
    with Library.open(tmp_path / "library", model=str(tiny_model)) as opened:
        yield opened
