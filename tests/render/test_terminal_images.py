"""Previews in the terminal: the protocol of each terminal, and output that decodes to the photos' pixels."""

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from rich.cells import cell_len

from clipsight.indexing.media.photo import open_picture
from clipsight.render.terminal_images import (
    ImageProtocol,
    half_blocks,
    image_protocol,
    nearest_256,
    print_previews,
)
from clipsight.search.results import Match, Matches
from tests.support.properties import examples
from tests.support.samples import SAMPLES

TRUECOLOR = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
ESCAPES = re.compile(r"\x1b\[[0-9;]*m|\x1b_G[^\x1b]*\x1b\\|\x1b]1337;[^\x07]*\x07")
LEVELS = [0, 95, 135, 175, 215, 255]
PALETTE = np.array(
    [(red, green, blue) for red in LEVELS for green in LEVELS for blue in LEVELS]
    + [(8 + 10 * step,) * 3 for step in range(24)]
)
"""xterm's colours 16 to 255."""

TERMINALS: list[tuple[dict[str, str], ImageProtocol | None]] = [
    ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"}, ImageProtocol.KITTY),
    ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, ImageProtocol.KITTY),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, ImageProtocol.ITERM),
    ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, ImageProtocol.ITERM),  # through ssh
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, ImageProtocol.ITERM),
    ({"TERM": "xterm-256color", "KONSOLE_VERSION": "220401"}, ImageProtocol.ITERM),
    ({"TERM": "xterm-256color", "KONSOLE_VERSION": "210800", **TRUECOLOR}, ImageProtocol.TRUECOLOR),
    ({"TERM": "xterm-256color", "KONSOLE_VERSION": "unknown"}, ImageProtocol.COLOURS_256),
    ({"TERM": "tmux-256color", "TMUX": "/tmp/t", "LC_TERMINAL": "iTerm2"}, ImageProtocol.COLOURS_256),
    ({"TERM": "screen.xterm-256color", "TERM_PROGRAM": "WezTerm"}, ImageProtocol.COLOURS_256),
    ({"TERM": "xterm-kitty", "STY": "1", "COLORTERM": "24bit"}, ImageProtocol.TRUECOLOR),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "COLORTERM": "truecolor"}, ImageProtocol.TRUECOLOR),
    ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, ImageProtocol.COLOURS_256),  # started from kitty
    ({"TERM": "xterm-direct"}, ImageProtocol.TRUECOLOR),
    ({"TERM": "xterm", "WT_SESSION": "0"}, ImageProtocol.TRUECOLOR),
    ({"TERM": "xterm-256color"}, ImageProtocol.COLOURS_256),
    ({"TERM": "xterm"}, None),
    ({"TERM": "linux"}, None),
    ({"TERM": "dumb", "COLORTERM": "truecolor"}, None),
    ({}, None),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8", tty: bool = True) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 24-bit colour."""
    environment(monkeypatch, TRUECOLOR)
    return Terminal()


def environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name in set().union(TRUECOLOR, *(case for case, _ in TERMINALS)):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def found(*paths: Path) -> Matches:
    matches = (
        Match(path, 0.25 - number / 100, number, None, None, None, None, 1, True)
        for number, path in enumerate(paths)
    )
    return Matches("a cat", "tiny", tuple(matches))


def screen(text: str, width: int) -> np.ndarray:
    """What a terminal shows for half blocks: int[2 * lines, width, RGB], -1 where nothing was drawn.

    Colours of the palette are looked up. Understands only what it must, and fails at anything else.
    """
    lines = text.split("\n")
    shown = np.full((2 * len(lines), width, 3), -1)
    front = ground = (-1, -1, -1)
    for row, line in enumerate(lines):
        column = 0
        for codes, char in re.findall(r"\x1b\[([0-9;]*)m|(.)", line):
            if char:
                if char in "▀▄":
                    upper, lower = (front, ground) if char == "▀" else (ground, front)
                    shown[2 * row : 2 * row + 2, column] = upper, lower
                column += cell_len(char)
            else:
                front, ground = style(codes, front, ground)  # type: ignore[assignment]
    return shown


Colour = tuple[int, ...]


def style(codes: str, front: Colour, ground: Colour) -> tuple[Colour, Colour]:
    numbers = [int(code) for code in codes.split(";")]
    while numbers:
        match numbers:
            case [0, *numbers]:
                front = ground = (-1, -1, -1)
            case [49, *numbers]:
                ground = (-1, -1, -1)
            case [38, 2, red, green, blue, *numbers]:
                front = (red, green, blue)
            case [48, 2, red, green, blue, *numbers]:
                ground = (red, green, blue)
            case [38, 5, index, *numbers]:
                front = tuple(PALETTE[index - 16])
            case [48, 5, index, *numbers]:
                ground = tuple(PALETTE[index - 16])
            case _:
                raise AssertionError(f"a terminal would not understand {codes}")
    return front, ground


PIXELS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 4).map(lambda lines: 2 * lines), st.integers(1, 9), st.just(4))
)


@given(PIXELS)
@pytest.mark.slow
def test_half_blocks_decode_to_the_same_pixels(pixels: np.ndarray) -> None:
    lines = list(half_blocks(pixels, ImageProtocol.TRUECOLOR))
    shown = screen("\n".join(lines), pixels.shape[1])
    assert len(lines) * 2 == len(pixels)
    assert np.array_equal(shown, np.where(pixels[..., 3:] >= 128, pixels[..., :3].astype(int), -1))


@given(PIXELS)
@pytest.mark.slow
def test_half_blocks_in_256_colours_decode_to_the_nearest(pixels: np.ndarray) -> None:
    shown = screen("\n".join(half_blocks(pixels, ImageProtocol.COLOURS_256)), pixels.shape[1])
    expected = PALETTE[nearest_256(pixels[..., :3]).astype(int) - 16]
    assert np.array_equal(shown, np.where(pixels[..., 3:] >= 128, expected, -1))


def test_nearest_256_is_nearest() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4000, 3), np.uint8)
    colours = np.concatenate([colours, np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)])
    distances = ((colours[:, None].astype(int) - PALETTE) ** 2).sum(axis=2)
    chosen = nearest_256(colours).astype(int) - 16
    assert np.array_equal(distances[np.arange(len(colours)), chosen], distances.min(axis=1))


def test_colours_of_the_palette_are_themselves() -> None:
    assert np.array_equal(PALETTE[nearest_256(PALETTE.astype(np.uint8)).astype(int) - 16], PALETTE)


def test_plain_photos_are_exact(terminal: Terminal, tmp_path: Path) -> None:
    paths = []
    for name, colour, size in [("1.png", "#ff0000", (38, 28)), ("2.png", "#00ff00", (10, 7))]:
        Image.new("RGB", size, colour).save(tmp_path / name)
        paths.append(tmp_path / name)
    assert print_previews(found(*paths), terminal, width=80)
    expected = np.full((28, 80, 3), -1)
    expected[:28, :38] = 255, 0, 0
    expected[21:28, 40:50] = 0, 255, 0  # stands on its caption
    assert np.array_equal(screen(terminal.getvalue(), 80)[:28], expected)


@pytest.mark.slow
def test_real_photos_keep_their_colours_and_captions(terminal: Terminal) -> None:
    photos = list(SAMPLES.values())
    print_previews(found(*photos), terminal, width=120)
    rows = terminal.getvalue().split("\n\n")[:-1]
    assert len(rows) == 3  # of three photos, the last of two
    for number, photo in enumerate(photos):
        row, place = divmod(number, 3)
        *_, names, scores = ESCAPES.sub("", rows[row]).split("\n")
        assert names[place * 40 :].startswith(photo.name)
        assert scores[place * 40 :].startswith(f"{0.25 - number / 100:.3f}")
        shown = screen(rows[row], 120)[:, place * 40 : place * 40 + 38]
        full = np.asarray(open_picture(photo), np.float64).mean(axis=(0, 1))
        assert np.abs(shown[shown[..., 0] >= 0].mean(axis=0) - full).max() < 6


def test_kitty_gets_the_pixels_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, {"TERM": "xterm-kitty", "COLORTERM": "truecolor"})
    terminal = Terminal()
    print_previews(found(SAMPLES["cat.png"], SAMPLES["coffee.png"]), terminal, width=80)
    picture, names, *_ = terminal.getvalue().split("\n")
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", picture)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in pieces) == picture
    assert len(pieces) > 2 and all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in pieces)
    assert pieces[0][0] == "a=T,f=100,c=54,q=2,m=1"
    assert {keys for keys, _ in pieces[1:-1]} == {"q=2,m=1"} and pieces[-1][0] == "q=2,m=0"
    check_strip(base64.b64decode("".join(data for _, data in pieces)))
    assert names.split() == ["chelsea.png", "coffee.png"]


def test_iterm_gets_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"})
    terminal = Terminal()
    print_previews(found(SAMPLES["cat.png"], SAMPLES["coffee.png"]), terminal, width=80)
    picture, names, *_ = terminal.getvalue().split("\n")
    sent = re.fullmatch(r"\x1b]1337;File=([^:]*):([^\x07]*)\x07", picture)
    assert sent is not None
    png = base64.b64decode(sent[2])
    assert sent[1] == f"inline=1;size={len(png)};width=54;height=auto;preserveAspectRatio=1"
    check_strip(png)
    assert names.split() == ["chelsea.png", "coffee.png"]


def check_strip(png: bytes) -> None:
    """The cat at the left and the coffee at the right, 26 cells of 12 pixels each and 2 cells between."""
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.mode == "RGBA"
        strip = np.asarray(picture)
    assert strip.shape == (208, 54 * 12, 4)
    assert not strip[:, 26 * 12 : 28 * 12, 3].any()
    for part, name in ((strip[:, : 26 * 12], "cat.png"), (strip[:, 28 * 12 :], "coffee.png")):
        with Image.open(SAMPLES[name]) as picture:
            full = np.asarray(picture.convert("RGB"), np.float64).mean(axis=(0, 1))
        assert np.abs(part[part[..., 3] == 255][:, :3].mean(axis=0) - full).max() < 4


@pytest.mark.parametrize(("variables", "protocol"), TERMINALS)
def test_the_protocol_of_each_terminal(variables: dict[str, str], protocol: ImageProtocol | None) -> None:
    assert image_protocol(Terminal(), variables) is protocol


@pytest.mark.parametrize(
    "stream", [Terminal(tty=False), Terminal("ascii"), Terminal("latin-1"), io.StringIO()]
)
def test_nothing_is_printed_without_picture_support(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, TRUECOLOR)
    assert not print_previews(found(SAMPLES["cat.png"]), stream, width=80)
    assert stream.getvalue() == ""


def test_no_matches_print_nothing(terminal: Terminal) -> None:
    assert print_previews(found(), terminal, width=80)
    assert terminal.getvalue() == ""


@pytest.mark.slow
def test_a_photo_that_cant_be_read_is_grey_with_the_reason(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    assert print_previews(found(tmp_path / "text.jpg", SAMPLES["cat.png"]), terminal, width=80)
    text = terminal.getvalue()
    assert "0.250 not an image: the file is text" in ESCAPES.sub("", text)
    assert (screen(text, 80)[:28, :38] == 0x6C).all()
    assert "chelsea.png" in text


@pytest.mark.parametrize("width", [4, 5, 37, 38, 39, 77, 78, 200])
def test_no_line_is_wider_than_the_terminal(width: int, terminal: Terminal) -> None:
    print_previews(found(*SAMPLES.values()), terminal, width=width)
    widest = max(cell_len(line) for line in ESCAPES.sub("", terminal.getvalue()).split("\n"))
    assert widest == (width if width < 38 else (width + 2) // 40 * 40 - 2)


def test_a_terminal_of_unknown_width_is_no_error(terminal: Terminal) -> None:
    assert print_previews(found(SAMPLES["cat.png"]), terminal, width=0)


NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60),
    st.sampled_from(
        ["花" * 50, "caf\udce9.jpg", "\x1b[2J.jpg", "two\nlines.jpg", "👩‍👩‍👧.jpg", "e\u0301" * 40]
    ),
)


@pytest.mark.slow
@examples(40, HealthCheck.function_scoped_fixture)
@given(names=st.lists(NAMES, min_size=1, max_size=3), width=st.integers(4, 120))
def test_names_in_any_script_stay_in_their_column(names: list[str], width: int, terminal: Terminal) -> None:
    terminal.truncate(terminal.seek(0))
    print_previews(found(*(Path("/nowhere") / name for name in names)), terminal, width=width)
    lines = ESCAPES.sub("", terminal.getvalue()).split("\n")
    assert all(cell_len(line) <= width for line in lines)
    assert "\x1b" not in "".join(lines)
    columns = max(1, (width + 2) // 40)
    assert len(lines) == 1 + -(-len(names) // columns) * (-(-(min(38, width) * 3 // 4) // 2) + 3)
