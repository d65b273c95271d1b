"""Files beside photos: found by name, in any Unicode form, and read within bounds."""

import os
import unicodedata
from pathlib import Path

import pytest

from clipsight.indexing.media.sidecars import Sidecars, is_sidecar, read_sidecar, stamp


def names(photo: str, *files: str) -> list[str]:
    found = Sidecars((os.fsencode(file), 1, 1) for file in files).of(os.fsencode(photo))
    return [os.fsdecode(name) for name, _, _ in found]


def test_names_of_sidecars() -> None:
    assert is_sidecar(b"a.xmp") and is_sidecar(b"a.jpg.JSON")
    assert not is_sidecar(b"a.jpg") and not is_sidecar(b"xmp")


def test_xmp_by_the_whole_name_or_the_stem() -> None:
    assert names("a.jpg", "a.jpg.xmp", "a.xmp", "a.png.xmp", "b.xmp") == ["a.jpg.xmp", "a.xmp"]
    assert names("a.jpg", "a.XMP") == ["a.XMP"]
    assert names("a.jpg") == []


def test_takeout_behind_xmp_and_once() -> None:
    assert names("a.jpg", "a.jpg.json", "a.jpg.xmp") == ["a.jpg.xmp", "a.jpg.json"]
    assert names("a(1).jpg", "a.jpg.json", "a.jpg(1).json") == ["a.jpg(1).json"]
    assert names("a-edited.jpg", "a.jpg.supplemental-metadata.json") == ["a.jpg.supplemental-metadata.json"]
    assert names("a.jpg", "metadata.json") == []


@pytest.mark.parametrize("suffix", [".xmp", ".jpg.xmp", ".jpg.json"])
def test_names_compare_in_nfc(suffix: str) -> None:
    composed, decomposed = "café", unicodedata.normalize("NFD", "café")
    assert names(composed + ".jpg", decomposed + suffix) == [decomposed + suffix]
    assert names(decomposed + ".jpg", composed + suffix) == [composed + suffix]


def test_bytes_that_are_not_utf_8() -> None:
    assert Sidecars([(b"\xff.jpg.json", 1, 1)]).of(b"\xff.jpg") == ((b"\xff.jpg.json", 1, 1),)


def test_stamps_change_with_any_file() -> None:
    one, other = (b"a.xmp", 1, 1), (b"a.json", 1, 1)
    told = [[], [one], [other], [one, other], [(b"a.xmp", 2, 1)], [(b"a.xmp", 1, 2)]]
    assert len({stamp(files) for files in told}) == len(told)
    assert (stamp([]), stamp([one])) == (0, stamp([one]))


def test_reading_within_bounds(tmp_path: Path) -> None:
    file = tmp_path / "a.xmp"
    file.write_bytes(b"12345")
    os.mkfifo(tmp_path / "fifo.xmp")
    (tmp_path / "folder.xmp").mkdir()
    assert read_sidecar(os.fsencode(file), 5) == b"12345"
    assert read_sidecar(os.fsencode(file), 4) == b""
    for other in ("none.xmp", "fifo.xmp", "folder.xmp", "a\0.xmp"):
        assert read_sidecar(os.fsencode(tmp_path / other), 5) == b""
