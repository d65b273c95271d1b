"""An explanation as one self-contained HTML file: coloured words, tables, photo and heat map."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.core.files import atomic_write
from clipsight.core.text import visible
from clipsight.explain.base import Explanation, WordShare
from clipsight.indexing.media.thumbnails import data_uri
from clipsight.render.colors import heat_palette, signed_colour, text_colour
from clipsight.render.explanations.captions import (
    region_caption,
    symbol_name,
    text_caption,
    title,
    words_caption,
)
from clipsight.render.explanations.overlay import mark_text, max_heat, open_photo, overlay_heat

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST = 640

_STYLE = """
:root { color-scheme: dark }
body { max-width: 84rem; margin: 2rem auto; padding: 0 1.5rem; font: 15px/1.5 system-ui, sans-serif;
  color: #f2f2f2; background: #161618 }
h1 { font-size: 1.5rem; font-weight: 600; overflow-wrap: anywhere }
h2 { margin: 2rem 0 .6rem; font-size: 1rem; font-weight: 600 }
p, figcaption { color: #a2a2aa }
.words { font-size: 1.25rem; line-height: 2.1; overflow-wrap: anywhere }
.words span { padding: .15rem .35rem; border-radius: .3rem; margin-right: .15rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600 }
td, th { padding: .15rem 1rem .15rem 0; overflow-wrap: anywhere; max-width: 30rem }
td.number, th.number { text-align: right }
figure { margin: 0; flex: 1 1 20rem; max-width: 640px }
figure img { display: block; width: 100%; height: auto }
.photos { display: flex; flex-wrap: wrap; gap: 1.5rem }
.scale { height: .8rem; margin-top: .8rem }
.ends { display: flex; justify-content: space-between; color: #a2a2aa; font-size: .85rem }
"""


def write_html(explanation: Explanation, file: Path) -> None:
    """Write the explanation as an HTML page, atomically.

    Raises LibraryError if it can't be written, PhotoError if the photo can't be read.
    """
    text = "".join(_page(explanation))
    with atomic_write(file) as temporary, temporary.open("xb") as out:
        out.write(text.encode())


def _page(explanation: Explanation) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>clipsight explain</title>\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<style>{_STYLE}</style>\n<h1>{_safe(explanation.query)}</h1>\n"
    for line in (title(explanation), *explanation.notes):
        yield f"<p>{_safe(line)}</p>\n"
    if len(explanation.parts) > 1:
        yield "<h2>Parts</h2>\n<p>parts: they add up to the score</p>\n"
        rows = ([part.part, f"{part.share:+.3f}", f"{part.cosine:.3f}"] for part in explanation.parts)
        yield from _table(["part", "share", "cosine by itself"], rows)
    if explanation.words:
        yield f"<h2>Words</h2>\n<p>{_safe(words_caption(explanation))}</p>\n"
        yield from _words(explanation)
        yield from _table(*_numbers(explanation))
    yield "<h2>Photo</h2>\n"
    yield from _photos(explanation)
    yield "</html>\n"


def _words(explanation: Explanation) -> Iterator[str]:
    """The words of the texts in order, coloured by share."""
    longest = max((abs(word.contribution) for word in explanation.words), default=0.0)
    for part in explanation.parts:
        if part.words:
            shaded = "".join(_word(word, longest) for word in part.words)
            yield f'<div class="words" dir="auto">{shaded}</div>\n'


def _word(word: WordShare, longest: float) -> str:
    colour = signed_colour(word.contribution, longest)
    style = f"background: rgb({colour[0]} {colour[1]} {colour[2]}); color: {text_colour(colour)}"
    return f'<span style="{style}" title="{word.contribution:+.4f}">{_safe(word.word)}</span> '


def _numbers(explanation: Explanation) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows of the table of words, without columns that the method does not compute."""
    words = explanation.words
    errors = any(word.stderr is not None for word in words)
    alone = any(word.leave_one_out is not None for word in words)
    heads = ["word", "share", *(["± standard error"] * errors), *(["change if only it is left out"] * alone)]
    rows = (
        [
            " ".join([word.word, *filter(None, map(symbol_name, word.word))]),
            f"{word.contribution:+.3f}",
            *([f"{word.stderr or 0:.3f}"] * errors),
            *([f"{-(word.leave_one_out or 0.0):+.3f}"] * alone),
        ]
        for word in words
    )
    return heads, rows


def _table(heads: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield "<table>\n<tr>" + "".join(_cell("th", *each) for each in enumerate(heads)) + "</tr>\n"
    for row in rows:
        yield "<tr>" + "".join(_cell("td", *each) for each in enumerate(row)) + "</tr>\n"
    yield "</table>\n"


def _cell(tag: str, column: int, text: str) -> str:
    number = ' class="number"' if column else ' dir="auto"'
    return f"<{tag}{number}>{_safe(text)}</{tag}>"


def _photos(explanation: Explanation) -> Iterator[str]:
    photo = open_photo(explanation, _LONGEST)
    yield '<div class="photos">\n'
    caption = f"<figcaption>{_safe(text_caption(explanation))}</figcaption>" if explanation.text else ""
    yield f"<figure>{_image(mark_text(photo, explanation), 'the photo')}{caption}</figure>\n"
    if explanation.region:
        stops = ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in heat_palette()[::15].tolist())
        yield f"<figure>{_image(overlay_heat(photo, explanation), 'the photo with its heat')}"
        yield f'<div class="scale" style="background: linear-gradient(to right, {stops})"></div>'
        yield f'<div class="ends"><span>0 or less</span><span>{max_heat(explanation):.3f}</span></div>'
        yield f"<figcaption>{_safe(region_caption(explanation))}</figcaption></figure>\n"
    yield "</div>\n"


def _image(image: "Image", alt: str) -> str:
    return f'<img alt="{alt}" src="{data_uri(image, quality=90)}">'


def _safe(text: str) -> str:
    return html.escape(visible(text))
