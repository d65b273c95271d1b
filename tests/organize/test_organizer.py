"""Sorting into folders: nothing is lost or overwritten, and undo restores the tree, even after a kill."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipsight.core.errors import LibraryError
from clipsight.organize import journal
from clipsight.organize.files import Method, folder_name
from clipsight.organize.organizer import LabelledPhoto, OrganizeResult, Outcome, Placement, organize
from clipsight.organize.undo import undo
from tests.support.catalogs import start_python
from tests.support.properties import examples

every_how = pytest.mark.parametrize("how", Method)

Tree = dict[str, bytes | str | None]


def tree(folder: Path) -> Tree:
    """All that is in and below `folder`: content of files, aim of links, None for folders."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Files that stand for photos: two of one name, two of one content, one with a name of any bytes."""
    folder = tmp_path / "originals"
    for name, content in {
        "a.jpg": b"a",
        "b.jpg": b"b" * 3_000_000,
        "trip/a.jpg": b"another a",
        "trip/copy/b.jpg": b"b" * 3_000_000,
        os.fsdecode(b"caf\xe9\n.jpg"): b"c",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def placed(folder: Path, label: str = "dog") -> list[LabelledPhoto]:
    return [LabelledPhoto(path, label, 0.9) for path in sorted(folder.rglob("*.jpg"))]


def is_that(how: Method, target: Path, source: Path) -> bool:
    match how:
        case Method.COPY:
            apart = not target.is_symlink() and not target.samefile(source)
            return apart and target.stat().st_mtime_ns == source.stat().st_mtime_ns
        case Method.SYMLINK:
            return target.is_symlink() and os.readlink(target) == str(source)
        case Method.HARDLINK:
            return not target.is_symlink() and target.samefile(source)


@every_how
def test_sorting_photos_can_be_undone(originals: Path, tmp_path: Path, how: Method) -> None:
    before = tree(originals)
    told: list[Placement] = []
    done = organize(
        [LabelledPhoto(originals / "a.jpg", "cat", 0.9), LabelledPhoto(originals / "b.jpg", "dog", 0.8)],
        tmp_path / "new" / "sorted",
        how,
        observer=told.append,
    )
    folders = tuple((tmp_path / "new" / "sorted" / name, 1) for name in ("cat", "dog"))
    assert done == OrganizeResult(
        created=2, existing=0, below_threshold=0, unlabelled=0, failures=(), folders=folders
    )
    assert [(each.outcome, each.target) for each in told] == [
        (Outcome.CREATED, tmp_path / "new/sorted/cat/a.jpg"),
        (Outcome.CREATED, tmp_path / "new/sorted/dog/b.jpg"),
    ]
    for each in told:
        assert each.target is not None and is_that(how, each.target, each.source)
    assert tree(originals) == before
    undone = undo(tmp_path / "new" / "sorted")
    assert (undone.removed, undone.kept) == (2, ())
    assert not (tmp_path / "new" / "sorted").exists() and tree(originals) == before


@every_how
def test_names_that_are_taken_get_a_number(originals: Path, tmp_path: Path, how: Method) -> None:
    destination = tmp_path / "sorted"
    done = organize(placed(originals), destination, how)
    # b.jpg and trip/copy/b.jpg have the same content.
    assert (done.created, done.existing) == (4, 1)
    assert sorted(path.name for path in (destination / "dog").iterdir()) == [
        "a-2.jpg",
        "a.jpg",
        "b.jpg",
        os.fsdecode(b"caf\xe9\n.jpg"),
    ]
    assert {path.read_bytes() for path in (destination / "dog").glob("a*")} == {b"a", b"another a"}
    again = organize(placed(originals)[::-1], destination, Method.COPY)
    assert (again.created, again.existing) == (0, 5)


@every_how
def test_nothing_is_overwritten(originals: Path, tmp_path: Path, how: Method) -> None:
    destination = tmp_path / "sorted"
    (destination / "dog").mkdir(parents=True)
    (destination / "dog" / "a.jpg").write_bytes(b"mine")
    (destination / "dog" / "b.jpg").symlink_to("nowhere")
    (destination / "dog" / "a-2.jpg").mkdir()
    (destination / "cat").write_bytes(b"a file where the folder would be")
    before = tree(destination)
    organize([*placed(originals), LabelledPhoto(originals / "a.jpg", "cat", 1.0)], destination, how)
    after = tree(destination)
    assert {name: after[name] for name in before} == before
    assert {"dog/a-3.jpg", "dog/a-4.jpg", "dog/b-2.jpg", "cat-2/a.jpg"} <= set(after)
    undo(destination)
    assert tree(destination) == before


def test_dry_run_reports_the_same_and_changes_nothing(originals: Path, tmp_path: Path) -> None:
    photos = [
        *placed(originals),
        *placed(originals, "a/b"),
        *placed(originals, "A:B"),
        *placed(originals, "dog"),
    ]
    (tmp_path / "sorted" / "dog").mkdir(parents=True)
    (tmp_path / "sorted" / "dog" / "a.jpg").write_bytes(b"mine")
    before = tree(tmp_path)
    foretold: list[Placement] = []
    told: list[Placement] = []
    plan = organize(photos, tmp_path / "sorted", Method.COPY, dry_run=True, observer=foretold.append)
    assert tree(tmp_path) == before
    assert plan == organize(photos, tmp_path / "sorted", Method.COPY, observer=told.append)
    assert foretold == told and plan.created == 12
    assert sum(count for _, count in plan.folders) == plan.created + plan.existing
    assert organize(photos, tmp_path / "sorted", Method.COPY, dry_run=True).existing == len(photos)


def test_photos_below_the_minimum_probability_are_left_out(originals: Path, tmp_path: Path) -> None:
    photos = [LabelledPhoto(originals / "a.jpg", "dog", 0.49), LabelledPhoto(originals / "b.jpg", "dog", 0.5)]
    done = organize(photos, tmp_path / "sorted", Method.COPY, min_probability=0.5)
    assert (done.created, done.below_threshold) == (1, 1)
    assert [path.name for path in (tmp_path / "sorted" / "dog").iterdir()] == ["b.jpg"]


def test_photos_without_a_label_are_left_out(originals: Path, tmp_path: Path) -> None:
    photos = [
        LabelledPhoto(originals / "a.jpg", None),
        LabelledPhoto(originals / "b.jpg", "dog"),
        LabelledPhoto(originals / "c.jpg", None, problem="cut short"),
    ]
    done = organize(photos, tmp_path / "sorted", Method.COPY)
    assert (done.created, done.unlabelled, [each.reason for each in done.failures]) == (1, 1, ["cut short"])
    assert done.folders == ((tmp_path / "sorted" / "dog", 1),)


def test_a_deleted_photo_is_reported_and_the_others_are_sorted(originals: Path, tmp_path: Path) -> None:
    for how in Method:
        photos = [
            LabelledPhoto(originals / "gone.jpg", "dog", 1.0),
            LabelledPhoto(originals / "a.jpg", "dog", 1.0),
        ]
        done = organize(photos, tmp_path / how.value, how)
        assert done.created == 1
        assert [(each.source.name, each.outcome) for each in done.failures] == [("gone.jpg", Outcome.FAILED)]
        assert "No such file" in done.failures[0].reason


def test_a_copy_that_fails_half_way_leaves_no_file(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails in the middle of a photo, as /proc/self/mem does when it is read."""
    photos = [
        LabelledPhoto(Path("/proc/self/mem"), "dog", 1.0),
        LabelledPhoto(originals / "a.jpg", "dog", 1.0),
    ]
    done = organize(photos, tmp_path / "sorted", Method.COPY)
    assert (done.created, len(done.failures)) == (1, 1)
    assert [path.name for path in (tmp_path / "sorted" / "dog").iterdir()] == ["a.jpg"]


# -- folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("dog", "dog"),
        ("a dog at the beach", "a dog at the beach"),
        ("indoor/outdoor", "indoor_outdoor"),
        ("../../etc", "_.._etc"),
        (".hidden", "hidden"),
        ("what?", "what_"),
        ("dog. ", "dog"),
        ("..", "_"),
        ("CON", "CON_"),
        ("lpt1.x", "lpt1.x_"),
        ("日本", "日本"),
        ("cafe\u0301", "café"),
        ("x" * 300, "x" * 200),
        ("é" * 300, "é" * 100),
        ("\ud800", "_"),
    ],
)
def test_folder_names(label: str, name: str) -> None:
    assert folder_name(label) == name


@given(st.text())
@example("/")
@example(" con.")
@example("x" * 199 + " " + "x")
@pytest.mark.slow
def test_any_label_is_a_folder(label: str) -> None:
    name = folder_name(label)
    assert 0 < len(name.encode()) <= 201 and name[0] != "." and name.strip(" .") == name
    with tempfile.TemporaryDirectory() as parent:
        (Path(parent) / name).mkdir()
        assert os.listdir(parent) == [name]


def test_labels_with_equal_folder_names_have_separate_folders(originals: Path, tmp_path: Path) -> None:
    labels = ["a/b", "a:b", "A_B"]
    photos = [LabelledPhoto(originals / "a.jpg", label, 1.0) for label in labels]
    organize(photos, tmp_path / "sorted", Method.COPY)
    assert sorted(path.name for path in (tmp_path / "sorted").glob("[Aa]*")) == ["A_B-3", "a_b", "a_b-2"]
    more = [LabelledPhoto(originals / "b.jpg", label, 1.0) for label in reversed(labels)]
    told: list[Placement] = []
    organize(more, tmp_path / "sorted", Method.COPY, observer=told.append)
    parents = [each.target.parent.name for each in told if each.target]
    assert parents == ["A_B-3", "a_b-2", "a_b"]  # as in the first run


def test_photo_folders_are_never_written_to(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(originals / "trip")
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "dog").symlink_to(originals)
    before = tree(tmp_path)
    places = [
        originals,
        originals / "trip",
        originals / "not" / "yet",
        tmp_path / "link",
        tmp_path / "sorted",
    ]
    for destination in places:
        with pytest.raises(LibraryError, match="which clipsight never changes"):
            organize(placed(originals), destination, Method.COPY, photo_folders=[originals])
        shutil.rmtree(tmp_path / "sorted" / journal.NAME, ignore_errors=True)
        (tmp_path / "sorted" / journal.NAME).unlink(missing_ok=True)
        assert tree(tmp_path) == before
    organize(placed(originals), originals.with_name("originals 2"), Method.COPY, photo_folders=[originals])


def test_a_destination_that_is_a_file(originals: Path) -> None:
    for dry_run in (True, False):
        with pytest.raises(LibraryError, match=r"a\.jpg is a file"):
            organize([], originals / "a.jpg", Method.COPY, dry_run=dry_run)


# -- undo --------------------------------------------------------------------------------------


@every_how
def test_undo_keeps_changed_files(originals: Path, tmp_path: Path, how: Method) -> None:
    destination = tmp_path / "sorted"
    organize(placed(originals), destination, how)
    changed = destination / "dog" / "a.jpg"
    changed.unlink()
    changed.write_bytes(b"A")
    (destination / "dog" / "b.jpg").unlink()
    (destination / "dog" / "note.txt").write_bytes(b"mine")
    undone = undo(destination)
    assert undone.removed == 2 and [path for path, _ in undone.kept] == [changed]
    assert sorted(os.listdir(destination / "dog")) == ["a.jpg", "note.txt"]
    changed.unlink()
    assert undo(destination).kept == ()
    assert tree(destination) == {"dog": None, "dog/note.txt": b"mine"}
    with pytest.raises(LibraryError, match="nothing to undo"):
        undo(destination)


def test_undo_never_removes_the_last_copy(originals: Path, tmp_path: Path) -> None:
    for how in (Method.COPY, Method.HARDLINK):
        organize([LabelledPhoto(originals / "a.jpg", how.value, 1.0)], tmp_path / "sorted", how)
    (originals / "a.jpg").unlink()
    undone = undo(tmp_path / "sorted")
    assert undone.removed == 0 and len(undone.kept) == 2
    assert (tmp_path / "sorted/copy/a.jpg").read_bytes() == b"a"
    assert (tmp_path / "sorted/hardlink/a.jpg").read_bytes() == b"a"


def test_undo_of_several_runs(originals: Path, tmp_path: Path) -> None:
    for how in Method:
        for label in ("dog", how.value):
            organize(placed(originals, label), tmp_path / "sorted", how)
    assert undo(tmp_path / "sorted").kept == ()
    assert not (tmp_path / "sorted").exists()


def test_undo_after_the_folder_was_moved(originals: Path, tmp_path: Path) -> None:
    organize(placed(originals), tmp_path / "sorted", Method.COPY)
    (tmp_path / "sorted").rename(tmp_path / "elsewhere")
    assert undo(tmp_path / "elsewhere").removed == 4
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "lines",
    [
        b"Dear Sir or Madam\n",
        b'{"clipsight": 2, "made": false}\n',
        b'["file"]\n',
        b'{"clipsight": 1}\n{"file": "../originals/a.jpg", "how": "copy", "source": "x"}\n',
        b'{"clipsight": 1}\n{"folder": "/etc", "label": "x", "made": true}\n',
        b'{"clipsight": 1}\n{"file": 7}\n',
    ],
)
def test_an_invalid_journal_is_refused(originals: Path, tmp_path: Path, lines: bytes) -> None:
    destination = tmp_path / "sorted"
    destination.mkdir()
    (destination / journal.NAME).write_bytes(lines)
    before = tree(tmp_path)
    with pytest.raises(LibraryError, match="damaged"):
        undo(destination)
    with pytest.raises(LibraryError, match="damaged"):
        organize(placed(originals), destination, Method.COPY)
    assert tree(tmp_path) == before


def test_one_process_at_a_time(originals: Path, tmp_path: Path) -> None:
    organize(placed(originals), tmp_path / "sorted", Method.COPY)
    with (tmp_path / "sorted" / journal.NAME).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for call in (
            lambda: undo(tmp_path / "sorted"),
            lambda: organize(placed(originals), tmp_path / "sorted", Method.COPY),
        ):
            with pytest.raises(LibraryError, match="another clipsight"):
                call()
    assert undo(tmp_path / "sorted").removed == 4


# -- killed ------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
from clipsight.organize import LabelledPhoto, Method, organize, undo

what, originals, destination = sys.argv[1:]

def count(event, arguments):
    # Before every touch of the destination that Python tells of: opening, renaming, linking, removing, ...
    global left
    if any(isinstance(value, (str, os.PathLike)) and destination in str(value) for value in arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def run():
    sys.addaudithook(count)
    if what == "undo":
        return undo(Path(destination))
    photos = sorted(Path(originals).rglob("*.jpg"))
    organize((LabelledPhoto(path, path.stem[:1], 1.0) for path in photos), Path(destination), Method(what))

for line in sys.stdin:
    left = int(line)
    child = os.fork()
    if child == 0:
        run()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def kill_at_every_step(what: str, originals: Path, destination: Path) -> Iterator[int]:
    """Run it again and again, killed one step later each time, until it gets through.

    The processes are forked from one that has imported everything: another Python takes most of a second.
    """
    with start_python(_KILLED, what, originals, destination) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        for step in range(1, 500):
            parent.stdin.write(f"{step}\n")
            parent.stdin.flush()
            code = int(parent.stdout.readline())
            yield step
            if code == 0:
                return
            assert code == -signal.SIGKILL
    raise AssertionError("it never gets through")


@pytest.mark.process
@every_how
def test_undo_after_a_kill_at_any_step(originals: Path, tmp_path: Path, how: Method) -> None:
    destination = tmp_path / "sorted"
    (destination / "a").mkdir(parents=True)
    (destination / "a" / "a.jpg").write_bytes(b"mine")
    before = tree(tmp_path)
    steps = 0
    for step in kill_at_every_step(how.value, originals, destination):
        for name, content in tree(destination).items():
            if ".clipsight-" not in name and isinstance(content, bytes):
                assert content in (b"", b"mine", b"a", b"another a", b"c", b"b" * 3_000_000), "half-written"
        if (destination / journal.NAME).exists():
            assert undo(destination).kept == ()
        assert tree(tmp_path) == before
        steps = step
    assert steps >= 10


@pytest.mark.process
def test_a_killed_run_can_be_continued(originals: Path, tmp_path: Path) -> None:
    organize(
        [LabelledPhoto(path, path.stem[:1], 1.0) for path in sorted(originals.rglob("*.jpg"))],
        tmp_path / "whole",
        Method.COPY,
    )
    expected = {name: content for name, content in tree(tmp_path / "whole").items() if name != journal.NAME}
    destination = tmp_path / "sorted"
    for _ in kill_at_every_step("copy", originals, destination):
        pass  # each goes on where the one before was killed
    after = tree(destination)
    del after[journal.NAME]
    assert after == expected


@pytest.mark.process
def test_a_killed_undo_can_be_continued(originals: Path, tmp_path: Path) -> None:
    destination = tmp_path / "sorted"
    organize(placed(originals), destination, Method.COPY)
    for _ in kill_at_every_step("undo", originals, destination):
        if not (destination / journal.NAME).exists():
            break
    assert not destination.exists() or tree(destination) == {}


def test_an_incomplete_journal_line_is_overwritten(originals: Path, tmp_path: Path) -> None:
    organize(placed(originals)[:1], tmp_path / "sorted", Method.COPY)
    with (tmp_path / "sorted" / journal.NAME).open("ab") as file:
        file.write(b'{"file": "dog/b.j')
    organize(placed(originals), tmp_path / "sorted", Method.COPY)
    lines = (tmp_path / "sorted" / journal.NAME).read_bytes().splitlines()
    assert [json.loads(line).get("file", "") for line in lines].count("dog/a.jpg") == 1
    assert undo(tmp_path / "sorted").removed == 4 and not (tmp_path / "sorted").exists()


# -- file systems ------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, another than the photos'."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(originals: Path, disk: Path) -> None:
    with pytest.raises(LibraryError, match=r"No space left .* organize --undo") as error:
        organize(placed(originals), disk / "sorted", Method.COPY)
    assert "\n" not in str(error.value)
    assert [path.name for path in (disk / "sorted" / "dog").iterdir()] == ["a.jpg"]
    assert undo(disk / "sorted").removed == 1
    assert tree(disk) == {}


def test_hard_links_between_disks(originals: Path, disk: Path) -> None:
    with pytest.raises(LibraryError, match="different disks: make copies or symbolic links"):
        organize(placed(originals), disk / "sorted", Method.HARDLINK)
    undo(disk / "sorted")
    assert tree(disk) == {}


def test_read_only_disk(originals: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(LibraryError, match="Read-only"):
        organize(placed(originals), disk / "sorted", Method.SYMLINK)


# -- anything ----------------------------------------------------------------------------------

names = st.sampled_from(["a.jpg", "a-2.jpg", "b", ".clip"])
contents = st.sampled_from([b"", b"x", b"y"])


@examples(60)
@given(
    sources=st.dictionaries(st.tuples(st.sampled_from("123"), names), contents, min_size=1),
    there=st.dictionaries(st.tuples(st.sampled_from(["dog", "cat"]), names), contents),
    runs=st.lists(
        st.tuples(st.sampled_from(Method), st.sampled_from(["dog", "cat", "c/t", "c:t"])), max_size=4
    ),
)
@pytest.mark.slow
def test_sorting_any_collection_can_be_undone(
    sources: dict[tuple[str, str], bytes],
    there: dict[tuple[str, str], bytes],
    runs: list[tuple[Method, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for base, files in (("originals", sources), ("sorted", there)):
            for (parent, name), content in files.items():
                (top / base / parent).mkdir(parents=True, exist_ok=True)
                (top / base / parent / name).write_bytes(content)
        before = tree(top)
        photos = [top / "originals" / parent / name for parent, name in sources]
        for how, label in runs:
            told: list[Placement] = []
            organize(
                [LabelledPhoto(path, label, 1.0) for path in photos],
                top / "sorted",
                how,
                observer=told.append,
            )
            for each in told:
                assert each.target is not None and each.target.read_bytes() == each.source.read_bytes()
            assert len({each.target for each in told}) >= len({path.read_bytes() for path in photos})
            after = tree(top)
            assert {name: after[name] for name in before} == before
        if runs:
            assert undo(top / "sorted").kept == ()
        assert tree(top) == before
