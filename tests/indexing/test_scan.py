import errno
import os
import socket
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.indexing import scan
from clipsight.indexing.scan import PHOTO_SUFFIXES, Candidate, Directory, has_photo_suffix, walk
from tests.support.properties import examples

NOBODY = 65534


def make(root: Path, *names: str | bytes) -> Path:
    """Create files (their directories too) with their own name as content; `/` at the end: a directory."""
    for name in names:
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        if path.endswith(b"/"):
            os.makedirs(path, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(os.fsencode(name))
    return root


def listing(root: Path, **options: object) -> list[str]:
    """Photos of a walk that met no error, relative to `root`, in the walk's order."""
    base = os.fsencode(root)
    directories = list(walk(base, **options))  # type: ignore[arg-type]
    assert all(directory.complete for directory in directories)
    return [os.fsdecode(os.path.relpath(photo.path, base)) for one in directories for photo in one.files]


def by_path(root: Path) -> dict[str, Directory]:
    return {os.fsdecode(os.path.relpath(one.path, os.fsencode(root))): one for one in walk(os.fsencode(root))}


@contextmanager
def without_root_rights() -> Iterator[None]:
    """Root may read everything; for a moment, be a user who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder whose parents any user may enter; pytest's own may not be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        for directory in [path, *(one for one in path.rglob("*") if one.is_dir())]:
            directory.chmod(0o755)


def test_a_candidate_has_the_values_of_stat(tmp_path: Path) -> None:
    make(tmp_path, "a/one.jpg")
    os.utime(tmp_path / "a/one.jpg", ns=(0, 1_234_567_890_123_456_789))
    status = (tmp_path / "a/one.jpg").stat()
    _, directory = walk(os.fsencode(tmp_path))
    folder = os.fsencode(tmp_path / "a")
    expected = Candidate(folder, b"one.jpg", len("a/one.jpg"), 1_234_567_890_123_456_789, status.st_dev)
    assert directory == Directory(folder, status.st_dev, (expected,), None)
    assert expected.path == os.fsencode(tmp_path / "a/one.jpg")


def test_files_beside_photos(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.jpg.json", "a.xmp", "b.jpg", "metadata.json", "c.jpg", "c.jpg.xmp/", ".b.xmp")
    os.mkfifo(tmp_path / "b.jpg.xmp")
    first, second, third = next(walk(os.fsencode(tmp_path))).files
    assert first.sidecars == (b"a.xmp", b"a.jpg.json") and first.sidecar_stamp != 0
    for other in (second, third):
        assert (other.sidecars, other.sidecar_stamp) == ((), 0)
    os.utime(tmp_path / "a.xmp", (1, 1))
    assert next(walk(os.fsencode(tmp_path))).files[0].sidecar_stamp != first.sidecar_stamp
    assert next(walk(os.fsencode(tmp_path), exclude=["*.json"])).files[0].sidecars == (b"a.xmp",)


BOTH_FORMS = [unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")]


@pytest.mark.parametrize("typed", BOTH_FORMS)
@pytest.mark.parametrize("stored", BOTH_FORMS)
def test_excludes_compare_in_nfc(typed: str, stored: str, tmp_path: Path) -> None:
    make(tmp_path, f"{stored}/a.jpg", "b/c.jpg")
    for exclude in (typed, f"{typed}/*", "*" + typed[3:]):
        assert listing(tmp_path, exclude=[exclude]) == ["b/c.jpg"]


def test_order_is_sorted_parents_first(tmp_path: Path) -> None:
    make(tmp_path, "b.jpg", "a/z.jpg", "a/b/y.jpg", "c/x.jpg", "A.jpg", "a/a.jpg", "aa/w.jpg")
    assert listing(tmp_path) == ["A.jpg", "b.jpg", "a/a.jpg", "a/z.jpg", "a/b/y.jpg", "aa/w.jpg", "c/x.jpg"]


def test_every_directory_is_yielded_even_without_photos(tmp_path: Path) -> None:
    make(tmp_path, "empty/", "texts/note.txt")
    assert {name: one.files for name, one in by_path(tmp_path).items()} == {".": (), "empty": (), "texts": ()}


def test_the_walk_is_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/one.jpg", "b/two.jpg")
    read = []
    real = os.scandir

    def scandir(path: bytes) -> object:
        read.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    next(walk(os.fsencode(tmp_path)))
    assert read == [os.fsencode(tmp_path)]


@pytest.mark.parametrize("suffix", sorted(PHOTO_SUFFIXES))
def test_photo_suffixes_in_any_case(suffix: bytes) -> None:
    assert has_photo_suffix(b"x." + suffix)
    assert has_photo_suffix(b"x.y." + suffix.upper())


@pytest.mark.parametrize(
    "name", [b"jpg", b"x.jpg.txt", b"x.", b"x", b"", b"x.jpgx", b"x.mp4", b"x.psd", b"jpg.x"]
)
def test_other_suffixes_are_not_photos(name: bytes) -> None:
    assert not has_photo_suffix(name)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    make(tmp_path, b"caf\xe9/na\xefve.jpg", b"\xff\xfe.png")
    names = [photo.path for one in walk(os.fsencode(tmp_path)) for photo in one.files]
    assert names == [
        os.fsencode(tmp_path) + b"/\xff\xfe.png",
        os.fsencode(tmp_path) + b"/caf\xe9/na\xefve.jpg",
    ]
    assert listing(tmp_path, exclude=[os.fsdecode(b"caf\xe9")]) == [os.fsdecode(b"\xff\xfe.png")]


def test_relative_root_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "in/one.jpg")
    monkeypatch.chdir(tmp_path)
    for root in (b"in", b"./in/", b"in/../in"):
        (directory,) = walk(root)
        assert directory.path == directory.files[0].folder == os.fsencode(tmp_path / "in")


def test_hidden_names_only_when_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "one.jpg", ".two.jpg", ".album/three.jpg")
    assert listing(tmp_path) == ["one.jpg"]
    assert listing(tmp_path, hidden=True) == [".two.jpg", "one.jpg", ".album/three.jpg"]


def test_the_root_itself_is_never_skipped(tmp_path: Path) -> None:
    make(tmp_path, ".album/three.jpg", "@eaDir/four.jpg")
    assert listing(tmp_path / ".album", exclude=[".album"]) == ["three.jpg"]
    assert listing(tmp_path / "@eaDir") == ["four.jpg"]


@pytest.mark.parametrize("hidden", [False, True])
def test_default_excludes(tmp_path: Path, hidden: bool) -> None:
    for name in scan.DEFAULT_EXCLUDES:
        make(tmp_path, f"album/{name.replace('*', 'x')}/thumb.jpg")
    make(tmp_path, "album/one.jpg", "album/._one.jpg")
    assert listing(tmp_path, hidden=hidden) == ["album/one.jpg"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ([], ["a.jpg", "b.gif", "2019/a.jpg", "2019/thumbs/t.jpg", "thumbs/t.jpg"]),
        (["thumbs"], ["a.jpg", "b.gif", "2019/a.jpg"]),
        (["thumbs/"], ["a.jpg", "b.gif", "2019/a.jpg"]),
        (["*/thumbs"], ["a.jpg", "b.gif", "2019/a.jpg", "thumbs/t.jpg"]),
        (["2019/*"], ["a.jpg", "b.gif", "thumbs/t.jpg"]),
        (["2019/a.*"], ["a.jpg", "b.gif", "2019/thumbs/t.jpg", "thumbs/t.jpg"]),
        (["./2019/thumbs"], ["a.jpg", "b.gif", "2019/a.jpg", "thumbs/t.jpg"]),
        (["/thumbs"], ["a.jpg", "b.gif", "2019/a.jpg", "2019/thumbs/t.jpg"]),
        (["*.gif", "20[01]9"], ["a.jpg", "thumbs/t.jpg"]),
        (
            ["THUMBS", "?.GIF", "humbs", "thumb"],
            ["a.jpg", "b.gif", "2019/a.jpg", "2019/thumbs/t.jpg", "thumbs/t.jpg"],
        ),
        (["*"], []),
    ],
)
def test_excludes(tmp_path: Path, exclude: list[str], left: list[str]) -> None:
    make(tmp_path, "a.jpg", "b.gif", "2019/a.jpg", "2019/thumbs/t.jpg", "thumbs/t.jpg")
    assert listing(tmp_path, exclude=exclude) == left


def test_an_excluded_directory_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "no/deep/one.jpg")
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail("entered") if b"/no" in path else real(path))
    assert listing(tmp_path, exclude=["no"]) == []


def test_links_to_photos_are_followed_and_devices_never_opened(tmp_path: Path) -> None:
    make(tmp_path, "photo.jpg", "elsewhere/target")
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "link.jpg").symlink_to("elsewhere/target")
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "to_fifo.jpg").symlink_to("fifo.jpg")
    (tmp_path / "null.jpg").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))
        assert listing(tmp_path) == ["link.jpg", "photo.jpg"]
    (root, *_) = walk(os.fsencode(tmp_path))
    assert root.files[0].size == len("elsewhere/target")


def test_a_cycle_of_links_ends(tmp_path: Path) -> None:
    make(tmp_path, "a/b/one.jpg")
    (tmp_path / "a/b/up").symlink_to("../..")
    (tmp_path / "a/b/here").symlink_to(".")
    (tmp_path / "root").symlink_to(tmp_path)
    assert listing(tmp_path) == ["a/b/one.jpg"]


def test_a_real_directory_takes_precedence_over_links_to_it(tmp_path: Path) -> None:
    make(tmp_path, "z/real/one.jpg")
    (tmp_path / "a").symlink_to("z/real")
    (tmp_path / "b").symlink_to("z")
    assert listing(tmp_path) == ["z/real/one.jpg"]


def test_a_directory_outside_is_walked_once_through_its_links(tmp_path: Path) -> None:
    make(tmp_path, "out/sub/two.jpg", "out/one.jpg", "in/zero.jpg")
    (tmp_path / "in/b").symlink_to(tmp_path / "out")
    (tmp_path / "in/a").symlink_to(tmp_path / "out")
    (tmp_path / "out/back").symlink_to(tmp_path / "in")
    (tmp_path / "out/further").symlink_to(tmp_path / "more")
    make(tmp_path, "more/three.jpg")
    assert listing(tmp_path / "in") == ["zero.jpg", "a/one.jpg", "a/sub/two.jpg", "a/further/three.jpg"]


def test_a_linked_root_is_walked_under_the_name_given(tmp_path: Path) -> None:
    make(tmp_path, "real/one.jpg")
    (tmp_path / "link").symlink_to("real")
    (directory,) = walk(os.fsencode(tmp_path / "link"))
    assert directory.files[0].path == os.fsencode(tmp_path / "link/one.jpg")


def test_a_broken_link_to_a_directory_keeps_its_photos(tmp_path: Path) -> None:
    make(tmp_path, "one.jpg")
    (tmp_path / "nas").symlink_to("/not/mounted")
    walked = by_path(tmp_path)
    assert walked["."].complete and len(walked["."].files) == 1
    assert walked["nas"] == Directory(os.fsencode(tmp_path / "nas"), 0, (), os.strerror(errno.ENOENT))
    assert not walked["nas"].complete


def test_a_root_that_is_not_a_directory(tmp_path: Path) -> None:
    make(tmp_path, "file.jpg")
    for name, reason in (
        ("missing", errno.ENOENT),
        ("file.jpg", errno.ENOTDIR),
        ("file.jpg/x", errno.ENOTDIR),
    ):
        (directory,) = walk(os.fsencode(tmp_path / name))
        assert (directory.path, directory.files) == (os.fsencode(tmp_path / name), ())
        assert directory.error == os.strerror(reason)
        assert not directory.complete


def test_directories_without_permission(public_folder: Path) -> None:
    make(public_folder, "closed/one.jpg", "no_stat/two.jpg", "open/three.jpg")
    (public_folder / "closed").chmod(0)
    (public_folder / "no_stat").chmod(0o444)
    with without_root_rights():
        walked = by_path(public_folder)
    denied = os.strerror(errno.EACCES)
    assert {name: one.error for name, one in walked.items()} == {
        ".": None,
        "closed": denied,
        "no_stat": denied,
        "open": None,
    }
    assert [photo.name for one in walked.values() for photo in one.files] == [b"three.jpg"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTCONN, errno.ENOENT])
@pytest.mark.parametrize("call", ["scandir", "stat"])
def test_a_directory_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    make(tmp_path, "a/one.jpg", "bad/two.jpg", "c/three.jpg")
    real = getattr(os, call)

    def failing(path: bytes) -> object:
        if path.endswith(b"/bad"):
            raise OSError(code, os.strerror(code))
        return real(path)

    monkeypatch.setattr(os, call, failing)
    walked = by_path(tmp_path)
    assert [photo.name for one in walked.values() for photo in one.files] == [b"one.jpg", b"three.jpg"]
    if (call, code) == ("stat", errno.ENOENT):  # deleted after its parent was read
        assert "bad" not in walked
    else:
        assert walked["bad"].error == os.strerror(code)
    assert walked["."].complete and walked["c"].complete


def test_a_directory_that_fails_half_way_keeps_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "one.jpg", "two.jpg")
    real = os.scandir

    @contextmanager
    def failing(path: bytes) -> Iterator[Iterator[os.DirEntry[bytes]]]:
        def entries() -> Iterator[os.DirEntry[bytes]]:
            with real(path) as all_of_them:
                yield min(all_of_them, key=lambda entry: entry.name)
            raise OSError(errno.EIO, "cable pulled")

        yield entries()

    monkeypatch.setattr(os, "scandir", failing)
    (directory,) = walk(os.fsencode(tmp_path))
    assert [photo.name for photo in directory.files] == [b"one.jpg"]
    assert (directory.error, directory.complete) == ("cable pulled", False)


def test_a_file_deleted_meanwhile_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "gone.jpg", "one.jpg")
    real = scan._entries

    def entries(path: bytes) -> object:
        found = real(path)
        (tmp_path / "gone.jpg").unlink()
        return found

    monkeypatch.setattr(scan, "_entries", entries)
    assert listing(tmp_path) == ["one.jpg"]


NAMES = st.sampled_from(["a", "b", "c.jpg", "d.JPG", "e.txt", ".f", ".g.png", "h.tiff"])
TREES = st.recursive(st.none(), lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=20)


@examples(60)
@given(tree=st.dictionaries(NAMES, TREES, max_size=5), hidden=st.booleans())
@pytest.mark.slow
def test_the_walk_agrees_with_a_simple_recursion(tree: dict[str, object], hidden: bool) -> None:
    def build(folder: Path, below: dict[str, object]) -> Iterator[str]:
        for name, content in below.items():
            shown = hidden or not name.startswith(".")
            if isinstance(content, dict):
                (folder / name).mkdir()
                found = list(build(folder / name, content))
                yield from (f"{name}/{path}" for path in found if shown)
            else:
                (folder / name).write_text("")
                if shown and name.rpartition(".")[2].lower() in ("jpg", "png", "tiff"):
                    yield name

    with tempfile.TemporaryDirectory() as root:
        expected = list(build(Path(root), tree))
        assert sorted(listing(Path(root), hidden=hidden)) == sorted(expected)
