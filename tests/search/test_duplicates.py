"""Copies in a library of real photos, end to end."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import LibraryError, QueryError
from clipsight.search.duplicates import DuplicateGroup, DuplicateOptions
from clipsight.search.grouping import SAME_COSINE, Kind
from tests.support.samples import SAMPLES


def relations(group: DuplicateGroup) -> dict[str, str | None]:
    return {each.path.name: each.kind for each in (group.keep, *group.others)}


def shot_at(path: Path, second: int, sample: str = "cat.png") -> Path:
    """Write a sample photo as JPEG with a date of EXIF."""
    exif = Image.Exif()
    exif[0x9003] = f"2024:05:06 07:08:{second:02}"
    with Image.open(SAMPLES[sample]) as photo:
        photo.convert("RGB").save(path, quality=90 - second, exif=exif)
    return path


@pytest.fixture
def copied(library: Library, photos: Path) -> Library:
    """A library of the sample photos, two exact copies of one, and a smaller JPEG of another."""
    (photos / "old").mkdir()
    shutil.copyfile(photos / "cat.png", photos / "old" / "cat.png")
    shutil.copyfile(photos / "cat.png", photos / "cat (1).png")
    with Image.open(photos / "coffee.png") as photo:
        photo.convert("RGB").resize((photo.width // 2, photo.height // 2)).save(photos / "coffee small.jpg")
    library.index(photos)
    return library


@pytest.mark.slow
def test_exact_copies_and_the_same_shot(copied: Library, photos: Path) -> None:
    found = copied.duplicates(similarity=0.999, kinds=["exact", "same"])
    assert (found.total, found.photos, found.model) == (2, len(SAMPLES) + 3, "tiny")
    cats, coffee = found
    assert cats.keep.path == photos / "cat.png" and cats.keep.kind is None
    assert [each.path.relative_to(photos) for each in cats.others] == [
        Path("cat (1).png"),
        Path("old/cat.png"),
    ]
    assert {each.kind for each in cats.others} == {"exact"} and {each.similarity for each in cats.others} == {
        1.0
    }
    assert cats.bytes == 2 * (photos / "cat.png").stat().st_size
    assert relations(coffee) == {"coffee.png": None, "coffee small.jpg": "same"}
    assert coffee.keep.width == 600 and 0.999 <= coffee.others[0].similarity <= 1.001
    for path in photos.rglob("*.*"):
        assert path.exists()  # nothing is deleted


@pytest.mark.slow
def test_kinds_folders_and_pages_restrict_the_groups(copied: Library, photos: Path) -> None:
    everything = copied.duplicates(similarity=0.999)
    assert [relations(group) for group in copied.duplicates(kinds="exact")] == [relations(everything[0])]
    same = copied.duplicates(kinds=["same"], similarity=0.999)
    assert [relations(group) for group in same] == [relations(everything[1])]
    assert len(copied.duplicates(photos / "old")) == 0
    page = copied.duplicates(similarity=0.999, top=1, offset=1)
    assert (page.total, list(page)) == (2, [everything[1]])
    assert list(everything[1:]) == [everything[1]]


@pytest.mark.slow
def test_the_photo_kept_is_always_a_reachable_one_of_equal_copies(copied: Library, photos: Path) -> None:
    (photos / "cat.png").unlink()
    copied.index(photos)
    (group,) = copied.duplicates(kinds="exact")
    assert relations(group) == {"cat (1).png": None, "cat.png": "exact"}


@pytest.mark.slow
def test_bursts_are_near_in_time(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "burst"
    folder.mkdir()
    for second in (0, 3, 9, 30):
        shot_at(folder / f"{second:02}.jpg", second)
    library.index(folder)
    (group,) = library.duplicates(similarity=0.99)
    assert relations(group) == {"00.jpg": None, "03.jpg": "burst", "09.jpg": "burst"}
    (group,) = library.duplicates(similarity=0.99, burst_seconds=4)
    assert relations(group) == {"00.jpg": None, "03.jpg": "burst"}
    assert len(library.duplicates(similarity=0.99, kinds=["same"])) == 0


def test_progress_is_called(library: Library, photos: Path) -> None:
    library.index(photos)
    stages: list[tuple[str, int, int | None]] = []
    library.duplicates(progress=lambda stage, done, total: stages.append((stage, done, total)))
    count = len(SAMPLES)
    assert stages == [("reading vectors", count, count), ("comparing", count, count)]


def test_an_empty_library_has_no_copies(library: Library) -> None:
    found = library.duplicates()
    assert (len(found), found.total, found.photos) == (0, 0, 0)
    assert found.to_dict() == {"model": "tiny", "photos": 0, "total": 0, "groups": []}
    assert repr(found) == "Duplicates(0 groups, 0 photos beside those to keep)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["near"]}, "`kinds` are exact, same, burst, not 'near'"),
        ({"kinds": [1]}, "`kinds` takes texts, not 1"),
        ({"similarity": 1.5}, "`similarity` must lie between -1 and 1, not 1.5"),
        ({"similarity": float("nan")}, "`similarity` takes a finite number"),
        ({"burst_seconds": -1}, "`burst_seconds` must lie between 0"),
        ({"top": 0}, "`top` must be at least 1"),
        ({"offset": -1}, "`offset` must lie between 0"),
    ],
)
def test_invalid_options_are_refused(library: Library, options: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError) as caught:
        library.duplicates(**options)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_folder_that_was_not_indexed_is_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="has not been indexed"):
        library.duplicates(tmp_path)


def test_a_lower_similarity_never_asks_more_of_bursts() -> None:
    assert DuplicateOptions().rule.same == SAME_COSINE
    rule = DuplicateOptions(similarity=0.5).rule
    assert rule.burst == rule.same == rule.cosine == 0.5
    assert DuplicateOptions(kinds=["exact"]).rule.cosine is None
    assert DuplicateOptions(kinds=[]).kinds == tuple(map(str, Kind))
