"""Contact sheets: their layout, their pixels, and files that are written whole or not at all."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from PIL import Image

from clipsight.core.errors import LibraryError
from clipsight.indexing.media.photo import open_picture
from clipsight.render import contact_sheet, fonts
from clipsight.render.contact_sheet import TILE, Box, choose_columns, lay_out, write_contact_sheet
from clipsight.search.results import Match, Matches
from tests.support.properties import examples
from tests.support.samples import SAMPLES

NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=80),
    st.binary(min_size=1, max_size=80).map(lambda name: os.fsdecode(name.translate(None, b"/\0") or b"?")),
)
PAGE, MOUNT, EMPTY = (0x16, 0x16, 0x18), (0x21, 0x21, 0x24), (0x34, 0x34, 0x3A)


@pytest.fixture(autouse=True)
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets look the same on every machine."""
    monkeypatch.setattr(fonts, "font_folders", list)


def found(*paths: Path, query: str = "a cat", score: float = 0.25) -> Matches:
    matches = (
        Match(path, score - number / 100, number, None, None, None, None, 1, True)
        for number, path in enumerate(paths)
    )
    return Matches(query, "tiny", tuple(matches))


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def cut(page: np.ndarray, box: Box) -> np.ndarray:
    return page[box.top : box.top + box.height, box.left : box.left + box.width]


def caption(tile: Box) -> Box:
    return Box(tile.left, tile.top + tile.height, tile.width, 44)


def plain(path: Path, colour: str, size: tuple[int, int]) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


@given(st.integers(0, 300), st.integers(1, 12), st.integers(0, 3))
@pytest.mark.slow
def test_tiles_and_captions_lie_inside_and_apart(count: int, columns: int, title_lines: int) -> None:
    layout = lay_out(count, columns, title_lines)
    assert len(layout.tiles) == count
    taken = np.zeros((layout.height, layout.width), np.uint8)
    for tile in layout.tiles:
        for box in (tile, caption(tile)):
            area = cut(taken, box)
            assert area.shape == (box.height, box.width)
            area += 1
    assert taken.max(initial=0) <= 1
    margin = taken[: 32 + title_lines * 32 + 20].sum() + taken[:, :32].sum() + taken[:, -32:].sum()
    assert margin + taken[-32:].sum() == 0


@given(st.integers(0, 500))
def test_chosen_columns_leave_few_places_empty(count: int) -> None:
    columns = choose_columns(count)
    assert 1 <= columns <= 8
    assert columns <= max(count, 1)
    assert -count % columns <= (2 if count <= 32 else 6)


@pytest.mark.parametrize(
    ("count", "columns"),
    [(0, 1), (1, 1), (2, 2), (3, 3), (4, 4), (6, 3), (8, 4), (9, 3), (10, 5), (12, 4), (13, 5), (96, 8)],
)
def test_choose_columns(count: int, columns: int) -> None:
    assert choose_columns(count) == columns


@pytest.mark.slow
def test_thumbnails_are_in_their_tiles(tmp_path: Path) -> None:
    photos = list(SAMPLES.values())
    write_contact_sheet(found(*photos), tmp_path / "out.png", columns=4)
    page = pixels(tmp_path / "out.png")
    layout = lay_out(8, 4, 1)
    assert page.shape == (layout.height, layout.width, 3)
    for photo, tile in zip(photos, layout.tiles, strict=True):
        full = np.asarray(open_picture(photo), np.float64)  # one has a profile that is not sRGB
        shown = cut(page, tile)
        mask = (shown != MOUNT).any(axis=2)
        assert np.abs(shown[mask].mean(axis=0) - full.mean(axis=(0, 1))).max() < 4
        height, width = full.shape[:2]
        scale = min(TILE[0] / width, TILE[1] / height)
        assert abs(np.ptp(mask.any(axis=0).nonzero()[0]) + 1 - width * scale) <= 1
        assert abs(np.ptp(mask.any(axis=1).nonzero()[0]) + 1 - height * scale) <= 1


@pytest.mark.parametrize("size", [(600, 400), (400, 600), (1000, 20), (20, 1000), (264, 212), (10, 6)])
def test_photos_keep_their_aspect_ratio_and_are_not_enlarged(size: tuple[int, int], tmp_path: Path) -> None:
    photo = plain(tmp_path / "red.png", "#ff0000", size)
    write_contact_sheet(found(photo), tmp_path / "out.png")
    page = pixels(tmp_path / "out.png")
    rows, columns = (page == (255, 0, 0)).all(axis=2).nonzero()
    scale = min(1, TILE[0] / size[0], TILE[1] / size[1])
    assert abs(np.ptp(columns) + 1 - size[0] * scale) <= 0.5
    assert abs(np.ptp(rows) + 1 - size[1] * scale) <= 0.5
    assert len(rows) == (np.ptp(columns) + 1) * (np.ptp(rows) + 1)
    tile = lay_out(1, 1, 1).tiles[0]
    assert abs(columns.mean() - (tile.left + (tile.width - 1) / 2)) <= 0.5  # centred
    assert abs(rows.mean() - (tile.top + (tile.height - 1) / 2)) <= 0.5


@pytest.mark.slow
def test_each_label_is_under_its_photo(tmp_path: Path) -> None:
    paths = [plain(tmp_path / f"{number}.png", "blue", (300, 200)) for number in range(5)]
    write_contact_sheet(found(*paths), tmp_path / "before.png")
    renamed = paths[3].rename(tmp_path / "other.png")
    write_contact_sheet(found(*paths[:3], renamed, paths[4]), tmp_path / "after.png")
    changed = (pixels(tmp_path / "before.png") != pixels(tmp_path / "after.png")).any(axis=2)
    label = caption(lay_out(5, choose_columns(5), 1).tiles[3])
    assert cut(changed, label).sum() == changed.sum() > 0
    write_contact_sheet(found(*paths[:3], renamed, paths[4], query="a dog"), tmp_path / "other query.png")
    changed = (pixels(tmp_path / "other query.png") != pixels(tmp_path / "after.png")).any(axis=2)
    assert changed[: 32 + 32].sum() == changed.sum() > 0


def test_scores_are_shown(tmp_path: Path) -> None:
    photo = plain(tmp_path / "1.png", "blue", (300, 200))
    write_contact_sheet(found(photo, score=0.25), tmp_path / "a.png")
    write_contact_sheet(found(photo, score=0.251), tmp_path / "b.png")
    changed = (pixels(tmp_path / "a.png") != pixels(tmp_path / "b.png")).any(axis=2)
    assert cut(changed, caption(lay_out(1, 1, 1).tiles[0])).sum() == changed.sum() > 0


def test_a_photo_that_cant_be_read_is_a_grey_tile_with_the_reason(tmp_path: Path) -> None:
    gone, text = tmp_path / "gone.jpg", tmp_path / "text.jpg"
    text.write_text("no picture")
    good = plain(tmp_path / "good.png", "blue", (300, 200))
    write_contact_sheet(found(gone, good, text), tmp_path / "out.png")
    page = pixels(tmp_path / "out.png")
    first, second, third = (cut(page, tile) for tile in lay_out(3, 3, 1).tiles)
    assert (second[106, 132] == (0, 0, 255)).all()
    for tile in (first, third):
        share = (tile == EMPTY).all(axis=2).mean()
        assert 0.9 < share < 0.995  # the rest is the reason
    assert (first != third).any()


def test_no_matches_make_a_sheet_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"an older sheet")
    write_contact_sheet(found(), tmp_path / "out.png")
    page = pixels(tmp_path / "out.png")
    assert page.shape[0] < 200
    assert (page[32:64] != PAGE).any() and (page[64:90] != PAGE).any()


@pytest.mark.parametrize(("name", "format_"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.png", "PNG")])
def test_the_suffix_is_the_format(name: str, format_: str, tmp_path: Path) -> None:
    write_contact_sheet(found(SAMPLES["cat.png"]), tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.format == format_
        picture.load()


@pytest.mark.slow
def test_jpegs_look_like_pngs(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        write_contact_sheet(found(*SAMPLES.values()), tmp_path / name)
    difference = np.abs(pixels(tmp_path / "a.jpg").astype(int) - pixels(tmp_path / "a.png"))
    assert difference.mean() < 2


@examples(25, HealthCheck.function_scoped_fixture)
@given(names=st.lists(NAMES, max_size=4), query=st.text())
@pytest.mark.slow
def test_names_and_queries_in_any_script(names: list[str], query: str, tmp_path: Path) -> None:
    file = tmp_path / "out.png"
    write_contact_sheet(found(*(Path("/nowhere") / name for name in names), query=query), file)
    assert pixels(file).shape[1] == contact_sheet.page_width(choose_columns(len(names)))


def test_a_very_long_query_takes_three_lines(tmp_path: Path) -> None:
    write_contact_sheet(found(query="many words " * 100), tmp_path / "long.png")
    assert pixels(tmp_path / "long.png").shape[0] == lay_out(0, 1, 3).height


@pytest.mark.parametrize("name", ["out.gif", "out", ".jpg", "out.jpg.txt"])
def test_another_suffix_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"name it \.jpg or \.png"):
        write_contact_sheet(found(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_folders_that_cant_be_written_to_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.jpg").mkdir()
    for bad in ("missing/out.jpg", "file/out.jpg", "folder.jpg"):
        with pytest.raises(LibraryError, match="can't write") as caught:
            write_contact_sheet(found(SAMPLES["cat.png"]), tmp_path / bad)
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.jpg"]


def test_a_folder_that_cant_be_written_to_is_found_before_photos_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "thumbnails", lambda *_: pytest.fail("photos were read"))
    with pytest.raises(LibraryError):
        write_contact_sheet(found(SAMPLES["cat.png"]), tmp_path / "missing" / "out.jpg")


def test_a_sheet_never_replaces_a_photo_it_shows(tmp_path: Path) -> None:
    photo = plain(tmp_path / "photo.png", "blue", (30, 20))
    (tmp_path / "link.png").symlink_to(photo)
    before = photo.read_bytes()
    for name in (photo, tmp_path / "link.png", tmp_path / "." / "photo.png"):
        with pytest.raises(LibraryError, match="one of the photos"):
            write_contact_sheet(found(photo), name)
    assert photo.read_bytes() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "sheet.png")
    write_contact_sheet(found(), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert pixels(tmp_path / "real" / "sheet.png").size


def test_more_than_a_sheet_can_hold_is_an_error(tmp_path: Path) -> None:
    for count, columns in ((2000, None), (300, 1), (1, 300)):
        with pytest.raises(LibraryError, match="`top`"):
            write_contact_sheet(found(*[Path("/nowhere.jpg")] * count), tmp_path / "out.jpg", columns=columns)
    with pytest.raises(LibraryError, match="`columns` must be at least 1"):
        write_contact_sheet(found(), tmp_path / "out.jpg", columns=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_sheet(
    failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.jpg"
    write_contact_sheet(found(SAMPLES["cat.png"]), file)
    before = file.read_bytes()

    def save(self: Image.Image, out: object, *_: object, **__: object) -> Iterator[None]:
        out.write(b"half a sheet")  # type: ignore[attr-defined]
        raise failure

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises((LibraryError, KeyboardInterrupt)) as caught:
        write_contact_sheet(found(SAMPLES["coffee.png"]), file)
    if isinstance(failure, OSError):
        assert str(caught.value) == f"can't write {file}: No space left on device"
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["out.jpg"]
