"""Files of probes: loaded as saved, or a one-line error; and predictions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipsight import Library
from clipsight.core.errors import LabelError
from clipsight.probe import Probe, load
from clipsight.probe.head import Head
from clipsight.search.results import Embeddings
from tests.support.catalogs import SRC
from tests.support.properties import examples

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_json = st.dictionaries(names, st.none() | st.booleans() | st.integers(-9, 9) | names, max_size=3)


@examples(50)
@given(data=st.data(), classes=st.lists(names, min_size=2, max_size=5, unique=True))
@pytest.mark.slow
def test_a_probe_survives_saving_and_loading(
    data: st.DataObject, classes: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    finite = st.floats(-1e6, 1e6, width=32)
    dim = data.draw(st.integers(1, 6))
    probe = Probe(
        tuple(classes),
        Head(
            data.draw(arrays(np.float32, (len(classes), dim), elements=finite)),
            data.draw(arrays(np.float32, len(classes), elements=finite)),
        ),
        data.draw(names),
        data.draw(names),
        data.draw(plain_json),
        data.draw(plain_json),
    )
    file = tmp_path_factory.mktemp("probe") / "a.probe"
    probe.save(file)
    again = load(file)
    assert (again.classes, again.model, again.fingerprint) == (probe.classes, probe.model, probe.fingerprint)
    assert (again.settings, again.figures) == (probe.settings, probe.figures)
    np.testing.assert_array_equal(again.head.weights, probe.head.weights)
    np.testing.assert_array_equal(again.head.bias, probe.head.bias)
    assert [each.name for each in file.parent.iterdir()] == ["a.probe"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "a.probe"
    Probe(("a", "b"), Head(np.eye(2, 4, dtype=np.float32), np.zeros(2, np.float32)), "tiny", "f" * 32).save(
        file
    )
    return file


def test_every_damaged_file_is_a_one_line_error(saved: Path) -> None:
    whole = saved.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    damaged = [whole[:length] for length in (0, 7, 8, 20, 8 + header, len(whole) - 1)]
    damaged += [
        b"PK\x03\x04" + whole,
        b"\xff" * 8 + whole[8:],
        whole[:8] + b"x" * header + whole[8 + header :],
    ]
    damaged += [whole.replace(b"clipsight probe 1", b"clipsight probe 9"), whole.replace(b"F32", b"I32")]
    damaged += [whole.replace(b"weights", b"weighty"), whole.replace(rb"\"b\"", rb"222")]
    for content in damaged:
        assert content != whole
        saved.write_bytes(content)
        with pytest.raises(LabelError, match="not a probe of clipsight, or damaged") as error:
            load(saved)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["a"]},
        {"classes": ["a", "b", "c"]},
        {"classes": [1, 2]},
        {"classes": "ab"},
        {"model": None},
        {"settings": []},
        {"figures": 1},
    ],
)
def test_contradictions_in_the_file_are_errors(saved: Path, change: dict[str, object]) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(saved)
    content = {"format": "clipsight probe 1", "classes": ["a", "b"], "model": "m", "fingerprint": "f"}
    content |= {"settings": {}, "figures": {}} | change  # type: ignore[arg-type]
    save_file(tensors, saved, {"clipsight": json.dumps(content)})
    with pytest.raises(LabelError, match="not a probe of clipsight"):
        load(saved)


def test_weights_that_are_not_finite_are_an_error(saved: Path) -> None:
    probe = load(saved)
    Probe(probe.classes, Head(np.full((2, 4), np.nan), probe.head.bias), "m", "f").save(saved)
    with pytest.raises(LabelError, match="not a probe of clipsight"):
        load(saved)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such probe"):
        load(tmp_path / "nothing.probe")
    with pytest.raises(LabelError, match="probe"):
        load(tmp_path)


def test_a_probe_that_cannot_be_written_leaves_no_file(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LabelError, match="can't write"):
        load(saved).save(tmp_path / "folder")
    with pytest.raises(LabelError, match="can't write"):
        load(saved).save(tmp_path / "nowhere" / "a.probe")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.probe", "folder"]


@pytest.mark.process
def test_applying_needs_no_scikit_learn(saved: Path) -> None:
    script = (
        "import sys; from clipsight.probe import load; import numpy\n"
        "probe = load(sys.argv[1]); probe.head.probabilities(numpy.eye(4))\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'sklearn', 'scipy', 'matplotlib', 'torch'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, saved], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


def test_applying_streams(library: Library) -> None:
    probe = Probe(("a", "b"), Head(np.eye(2, 32, dtype=np.float32), np.zeros(2, np.float32)), "m", "f")
    chunk = Embeddings(np.arange(3), tuple(map(Path, "abc")), np.eye(3, 32, dtype=np.float32))
    found = probe.predict(chunk)
    assert found.probabilities.dtype == np.float32 and len(found) == 3
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    empty = Embeddings(np.empty(0, np.int64), (), np.empty((0, 32), np.float32), ((Path("x"), "why"),))
    assert len(probe.predict(empty)) == 0 and probe.predict(empty).failures == empty.failures
