"""Files written whole, and pictures that are never replaced."""

import os
from pathlib import Path

import pytest
from PIL import Image

from clipsight.core.errors import LibraryError
from clipsight.core.files import atomic_write, is_foreign_picture, mtime_ns, open_regular, write_picture

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "QOI", "AVIF"]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.slow
def test_a_picture_that_clipsight_did_not_write_is_not_replaced(tmp_path: Path, format_: str) -> None:
    file = tmp_path / "photo"
    Image.new("RGB", (8, 8), "red").save(file, format_)
    before = file.read_bytes()
    with pytest.raises(LibraryError, match="did not write"), atomic_write(file) as temporary:
        temporary.write_bytes(b"x")
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_a_picture_that_clipsight_wrote_is_replaced(tmp_path: Path, format_: str) -> None:
    file = tmp_path / "sheet"
    for colour in ("red", "blue"):
        picture = Image.new("RGB", (200, 200), colour)
        write_picture(lambda drawn=picture: drawn, file, format_)  # type: ignore[arg-type, misc]
        assert not is_foreign_picture(file)
    with Image.open(file) as written:
        assert written.convert("RGB").getpixel((5, 5))[2] > 200  # type: ignore[index]


def test_other_files_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    for text in ("one", "two"):
        with atomic_write(file) as temporary:
            temporary.write_text(text)
    assert file.read_text() == "two"


def test_a_link_to_a_photo_is_followed(tmp_path: Path) -> None:
    photo, link = tmp_path / "photo.png", tmp_path / "sheet.png"
    Image.new("RGB", (8, 8)).save(photo)
    link.symlink_to(photo)
    with pytest.raises(LibraryError, match="did not write"), atomic_write(link) as temporary:
        temporary.write_bytes(b"x")


@pytest.mark.parametrize(
    ("time", "expected"),
    [(-(2**63) - 1, -(2**63)), (-1, -1), (0, 0), (2**63 - 1, 2**63 - 1), (10_413_792_000 * 10**9, 2**63 - 1)],
)
def test_times_are_clamped_to_64_bits(time: int, expected: int) -> None:
    stat = os.stat_result(range(10), {"st_mtime_ns": time})
    assert mtime_ns(stat) == expected


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A pipe is refused at once, where opening it would wait for a writer."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
    for refused in (tmp_path / "pipe", tmp_path, os.fsencode(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(OSError, match="not a file"):
            open_regular(refused)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")
