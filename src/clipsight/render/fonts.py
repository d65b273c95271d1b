r"""Text on pictures in any script, with installed fonts, or escapes for characters that no font has.

Pillow includes one typeface, Aileron, with ASCII and a few symbols. Fonts for other characters are searched
in the font folders of Linux, macOS and Windows, without fontconfig. A character that no installed font has
is written as its escape, `\u82b1`, not as an empty box.
"""

import os
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

from clipsight.core.text import JOINERS, escape, visible

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

ELLIPSIS = "…"

_ASCII = frozenset(map(chr, range(0x20, 0x7F)))

_BLANK = " " + JOINERS

_PREFERRED = (
    "notosans-regular",
    "dejavusans",
    "segoeui",
    "helveticaneue",
    "notosanscjk-regular",
    "notosanscjksc-regular",
    "sourcehansans-regular",
    "pingfang",
    "hiragino sans gb",
    "ヒラギノ角ゴシック w3",
    "applesdgothicneo",
    "msyh",
    "yugothm",
    "malgun",
    "wqy-microhei",
    "wqy-zenhei",
    "droidsansfallback",
    "arial unicode",
    "arial",
    "freesans",
)
"""Preferred fonts for small sizes: file names without suffix, in lower case."""

_STYLED = re.compile(r"bold|black|heavy|light|thin|italic|oblique|condensed|narrow|mono|serif|medium")
_UNUSABLE = re.compile(r"lastresort|blank")


def font_folders() -> list[Path]:
    """The font folders of this system, the user's own first."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(home))
        windows = os.environ.get("WINDIR", "C:\\Windows")
        return [Path(local) / "Microsoft/Windows/Fonts", Path(windows) / "Fonts"]
    user = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [user / "fonts", home / ".fonts", *(Path(each) / "fonts" for each in shared.split(":"))]


@dataclass(frozen=True)
class Typeface:
    """A scalable font: a file, or Pillow's own if `file` is None."""

    file: Path | None = None

    def at(self, size: int, *, shaped: bool = True) -> "FreeTypeFont":
        """Load the font at `size` pixels per em; if not `shaped`, one glyph per character. Raises OSError."""
        from PIL import ImageFont

        if self.file is None:
            return cast("FreeTypeFont", ImageFont.load_default(size))
        layout = None if shaped else ImageFont.Layout.BASIC
        return ImageFont.truetype(str(self.file), size, layout_engine=layout)

    def covered(self, chars: Iterable[str]) -> frozenset[str]:
        """The subset of `chars` with a glyph in the font; empty if it can't be used."""
        try:
            font = self.at(16, shaped=False)
            missing = _pixels(font, "\U0010fffe")  # a noncharacter: draws the font's missing glyph
            return frozenset(char for char in chars if _has(font, char, missing))
        except (OSError, ValueError):  # bitmap fonts of another size, damaged files, no permission
            return frozenset()


class TextRenderer:
    """Measures and draws the given texts, or parts of them, with the fonts that they need.

    Fonts are chosen at construction, for all characters of `text`. `folders` (default: `font_folders()`) are
    searched only for characters that Pillow's own font lacks. Sizes are pixels per em, positions pixels.
    """

    def __init__(self, text: Iterable[str], *, folders: Sequence[Path] | None = None) -> None:
        needed = _ASCII.union(ELLIPSIS, *(visible(each) for each in text))
        drawable = frozenset(filter(_can_be_laid_out, needed))
        own = Typeface()
        self._coverage = {own: own.covered(drawable)}
        missing = drawable - self._coverage[own]
        for face in _installed(font_folders() if folders is None else folders) if missing else ():
            covered = face.covered(drawable)
            if covered & missing:
                self._coverage[face] = covered
                missing -= covered
            if not missing:
                break
        self._covered = frozenset[str]().union(*self._coverage.values())
        self._fonts: dict[tuple[Typeface, int], FreeTypeFont] = {}

    def legible(self, text: str) -> str:
        """The text as it is drawn: escaped are control characters, and characters that no font has."""
        return "".join(char if char in self._covered else escape(char) for char in visible(text))

    def width(self, text: str, size: int) -> float:
        """Width of legible `text` in pixels."""
        runs = ((self._font(face, size), run) for face, run in self._runs(text))
        return sum(font.getlength(run, direction=_direction(font)) for font, run in runs)

    def draw(
        self, canvas: "ImageDraw", position: tuple[float, float], text: str, size: int, colour: str
    ) -> None:
        """Draw legible `text` from `position`, the left end of its base line."""
        x, y = position
        for face, run in self._runs(text):
            font = self._font(face, size)
            canvas.text((x, y), run, fill=colour, font=font, anchor="ls", direction=_direction(font))
            x += font.getlength(run, direction=_direction(font))

    def shorten(self, text: str, size: int, width: float) -> str:
        """Shorten legible `text` to `width` with an ellipsis in the middle."""
        if self.width(text, size) <= width:
            return text
        kept = bisect_right(range(1, len(text)), width, key=lambda n: self.width(_ends(text, n), size))
        return _ends(text, kept)

    def wrap(self, text: str, size: int, width: float, lines: int) -> list[str]:
        """Wrap legible `text` to at most `lines` lines of `width`; the last one is shortened."""
        wrapped: list[str] = []
        rest = text.strip()
        while rest and len(wrapped) < lines - 1:
            cut = self._fitting(rest, size, width)
            wrapped.append(rest[:cut].rstrip())
            rest = rest[cut:].lstrip()
        return [*wrapped, self.shorten(rest, size, width)] if rest else wrapped

    def _fitting(self, text: str, size: int, width: float) -> int:
        """Number of characters on one line: whole words, or a part of a word longer than the line."""
        if self.width(text, size) <= width:
            return len(text)
        end = max(1, bisect_right(range(1, len(text)), width, key=lambda n: self.width(text[:n], size)))
        space = text.rfind(" ", 0, end + 1)
        return space if space > 0 else end

    def _runs(self, text: str) -> Iterator[tuple[Typeface, str]]:
        """Split the text into runs of one font; a word has a single font where one covers it."""
        faces = (
            (self._face(word) or self._face(piece), piece)
            for word in re.findall(r" +|[^ ]+ *", text)
            for piece in ([word] if self._face(word) else word)
        )
        for face, pieces in groupby(faces, key=lambda each: each[0]):
            yield face or Typeface(), "".join(piece for _, piece in pieces)

    def _face(self, text: str) -> Typeface | None:
        return next((face for face, covered in self._coverage.items() if covered.issuperset(text)), None)

    def _font(self, face: Typeface, size: int) -> "FreeTypeFont":
        if (face, size) not in self._fonts:
            self._fonts[face, size] = face.at(size)
        return self._fonts[face, size]


def _ends(text: str, kept: int) -> str:
    """The first and last characters of `text`, `kept` in total, around an ellipsis."""
    tail = kept // 2
    return text[: kept - tail].rstrip() + ELLIPSIS + text[len(text) - tail :].lstrip()


def _installed(folders: Iterable[Path]) -> list[Typeface]:
    """All font files under `folders`: preferred ones, then plain styles, then others, by name."""
    files = {
        Path(folder, name)
        for top in folders
        for folder, _, names in os.walk(top)
        for name in names
        if name.lower().endswith((".ttf", ".otf", ".ttc", ".otc")) and not _UNUSABLE.search(name.lower())
    }
    return [Typeface(file) for file in sorted(files, key=_rank)]


def _rank(file: Path) -> tuple[int, bool, str]:
    stem = unicodedata.normalize("NFC", file.stem).lower()
    preferred = _PREFERRED.index(stem) if stem in _PREFERRED else len(_PREFERRED)
    return preferred, bool(_STYLED.search(stem)), str(file)


def _pixels(font: "FreeTypeFont", char: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)


def _has(font: "FreeTypeFont", char: str, missing: tuple[tuple[int, int], bytes]) -> bool:
    drawn = _pixels(font, char)
    return drawn != missing and (any(drawn[1]) or char in _BLANK)


def _direction(font: "FreeTypeFont") -> str | None:
    """The direction of the paragraph; Raqm lays out right-to-left words in it."""
    from PIL.ImageFont import Layout

    return "ltr" if font.layout_engine == Layout.RAQM else None


def _can_be_laid_out(char: str) -> bool:
    """True if Pillow can lay out the character; right-to-left and combining ones need Raqm."""
    from PIL import features

    simple = unicodedata.bidirectional(char) not in ("R", "AL", "AN", "NSM")
    return (simple and unicodedata.category(char) != "Mc") or features.check("raqm") is True
