"""Text on pictures: which font draws what, escapes instead of boxes, cutting and wrapping."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, features

from clipsight.render import fonts
from clipsight.render.fonts import ELLIPSIS, TextRenderer, Typeface, font_folders

RAQM = pytest.mark.skipif(not features.check("raqm"), reason="this Pillow can't lay out Hebrew")
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)


def write_font(file: Path, chars: str) -> Path:
    """A real TrueType font that has `chars` only: Pillow's own, with another character map."""
    own = ImageFont.load_default(16)
    assert isinstance(own, ImageFont.FreeTypeFont)
    data = bytearray(own.font_bytes)
    codes = sorted(map(ord, set(chars)))
    groups = b"".join(struct.pack(">3I", code, code, 20 + index % 60) for index, code in enumerate(codes))
    table = struct.pack(">HHHHIHHIII", 0, 1, 3, 10, 12, 12, 0, 16 + len(groups), 0, len(codes)) + groups
    for record in range(12, 12 + 16 * struct.unpack_from(">H", data, 4)[0], 16):
        if data[record : record + 4] == b"cmap":
            struct.pack_into(">II", data, record + 8, len(data), len(table))
        if bytes(data[record : record + 4]) in (b"GPOS", b"GSUB"):  # rules for the glyphs' old characters
            data[record : record + 4] = b"none"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data + table)
    return file


def drawn(renderer: TextRenderer, text: str) -> bytes:
    picture = Image.new("L", (600, 40))
    renderer.draw(ImageDraw.Draw(picture), (5, 30), text, 16, "white")
    return picture.tobytes()


def faces(renderer: TextRenderer, text: str) -> list[tuple[Path | None, str]]:
    return [(face.file, run) for face, run in renderer._runs(text)]


@given(ANY_TEXT)
@pytest.mark.slow
def test_without_fonts_no_empty_boxes_are_drawn(text: str) -> None:
    own = ImageFont.load_default(16)
    box = bytes(own.getmask("\U0010fffe"))
    for char in TextRenderer([text], folders=[]).legible(text):
        assert bytes(own.getmask(char)) != box


def test_characters_without_a_font_are_escaped() -> None:
    assert TextRenderer(["花 é 😀"], folders=[]).legible("花 é 😀") == "\\u82b1 \\xe9 \\U0001f600"


def test_a_font_that_has_the_character_is_found(tmp_path: Path) -> None:
    file = write_font(tmp_path / "deep" / "down" / "Some.ttf", "花")
    renderer = TextRenderer(["花 one"], folders=[tmp_path / "missing", tmp_path])
    assert renderer.legible("花 one") == "花 one"
    assert faces(renderer, "花 one") == [(file, "花"), (None, " one")]
    font = ImageFont.truetype(str(file), 16)
    assert renderer.width("花", 16) == font.getlength("花")
    expected = Image.new("L", (600, 40))
    ImageDraw.Draw(expected).text((5, 30), "花", fill="white", font=font, anchor="ls")
    assert drawn(renderer, "花") == expected.tobytes()


def test_fonts_are_not_searched_if_pillows_own_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: pytest.fail("searched for fonts"))
    assert TextRenderer(["plain ASCII"]).legible("plain ASCII") == "plain ASCII"


def test_a_word_is_drawn_by_one_font_where_one_has_all_of_it(tmp_path: Path) -> None:
    file = write_font(tmp_path / "Whole.ttf", "é花abcdefghijklmnopqrstuvwxyz. ")
    renderer = TextRenderer(["a café.jpg now"], folders=[tmp_path])
    assert faces(renderer, "a café.jpg now") == [(None, "a "), (file, "café.jpg "), (None, "now")]


def test_preferred_then_plain_fonts_come_first(tmp_path: Path) -> None:
    names = ["Aaa-Bold.ttf", "Aaa-Regular.ttf", "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LastResort.otf"]
    for name in names:
        write_font(tmp_path / name, "花")
    found = []
    for _ in range(4):
        face = next(file for file, _ in faces(TextRenderer(["花"], folders=[tmp_path]), "花") if file)
        found.append(face.name)
        face.unlink()
    assert found == ["NotoSans-Regular.ttf", "DejaVuSans.ttf", "Aaa-Regular.ttf", "Aaa-Bold.ttf"]
    assert TextRenderer(["花"], folders=[tmp_path]).legible("花") == "\\u82b1"  # never the font of boxes


def test_unusable_fonts_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "Aaa.ttf").write_bytes(b"no font at all")
    (tmp_path / "Bbb.otf").write_bytes(b"")
    (tmp_path / "Ccc.ttc").symlink_to(tmp_path / "nowhere")
    (tmp_path / "Ddd.ttf").mkdir()
    file = write_font(tmp_path / "Eee.ttf", "花")
    assert faces(TextRenderer(["花"], folders=[tmp_path]), "花") == [(file, "花")]
    assert Typeface(tmp_path / "Aaa.ttf").covered("花") == frozenset()


@RAQM
def test_right_to_left_words_are_reversed_and_the_suffix_is_not(tmp_path: Path) -> None:
    file = write_font(tmp_path / "Hebrew.ttf", "שלום.jpg")
    size, advance = 50, 29  # the font's glyphs here are digits, all 580 / 1000 of the size wide
    renderer = TextRenderer(["שלום.jpg"], folders=[tmp_path])
    shown, expected = Image.new("L", (400, 80)), Image.new("L", (400, 80))
    renderer.draw(ImageDraw.Draw(shown), (5, 60), "שלום.jpg", size, "white")
    font = ImageFont.truetype(str(file), size)
    for place, char in enumerate("םולש.jpg"):  # as read from left to right
        ImageDraw.Draw(expected).text((5 + place * advance, 60), char, fill="white", font=font, anchor="ls")
    assert shown.tobytes() == expected.tobytes()


def test_scripts_that_pillow_cant_lay_out_are_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_font(tmp_path / "Both.ttf", "ש花")
    monkeypatch.setattr(features, "check", lambda feature: False)
    assert TextRenderer(["ש花"], folders=[tmp_path]).legible("ש花") == "\\u05e9花"


def test_text_that_fits_is_not_shortened() -> None:
    renderer = TextRenderer([])
    assert renderer.shorten("cat.jpg", 14, renderer.width("cat.jpg", 14)) == "cat.jpg"


def test_both_ends_of_a_long_name_are_kept() -> None:
    short = TextRenderer([]).shorten("a photograph with a long name 2019.jpg", 14, 150)
    assert short.startswith("a photo") and short.endswith("2019.jpg") and ELLIPSIS in short


@given(st.text("ab Wm.", min_size=1, max_size=80), st.integers(30, 300), st.sampled_from([14, 24]))
@pytest.mark.slow
def test_shortened_text_fits(text: str, width: int, size: int) -> None:
    renderer = TextRenderer([])
    short = renderer.shorten(text, size, width)
    assert renderer.width(short, size) <= width
    head, _, tail = short.partition(ELLIPSIS)
    assert text.startswith(head) and text.endswith(tail)


@given(st.text("ab Wm.", max_size=120), st.integers(40, 300), st.integers(1, 6))
@pytest.mark.slow
def test_wrapped_text_fits_and_is_complete_unless_shortened(text: str, width: int, lines: int) -> None:
    renderer = TextRenderer([])
    wrapped = renderer.wrap(text, 14, width, lines)
    assert len(wrapped) <= lines
    assert all(line and renderer.width(line, 14) <= width for line in wrapped)
    if ELLIPSIS not in "".join(wrapped):
        assert "".join("".join(wrapped).split()) == "".join(text.split())


def test_words_are_kept_whole_while_they_fit() -> None:
    assert TextRenderer([]).wrap("two dogs on a beach", 14, 70, 9) == ["two dogs", "on a", "beach"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_font_folders_of_each_system(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_DATA_DIRS", "LOCALAPPDATA", "WINDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fonts.sys, "platform", platform)  # type: ignore[attr-defined]
    names = {
        "linux": "/usr/share/fonts",
        "darwin": "/System/Library/Fonts",
        "win32": "C:\\Windows/Fonts",
    }
    assert names[platform] in [str(folder) for folder in font_folders()]
