"""Prompts among which a photo's is to be chosen: kinds of clothes and of scenes, and an article's colours."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from .data import Photo
from .everyday import read_rows

PROMPTS: Mapping[str, str] = {
    "clothing": "a photo of a {}",
    "scenes": "a photo of {}",
    "products": "a photo of {}",
}
COLOURS = 10
"""Colours of an article among which the right one is chosen; articles of fewer are left out."""

Choice = tuple[tuple[str, ...], int]
"""Prompts, and the place of the right one."""


def choices(data: Path, photos: Sequence[Photo]) -> dict[int, Choice]:
    """The prompts of each photo that has some, by its index: of clothes and scenes by the label's prompt
    among those of all labels, of products "a photo of {colour} {article}" for the article's commonest
    colours.
    """
    found: dict[int, Choice] = {}
    for source in ("clothing", "scenes"):
        labels = sorted({photo.label for photo in photos if photo.source == source})
        prompts = tuple(PROMPTS[source].format(label) for label in labels)
        for i, photo in enumerate(photos):
            if photo.source == source:
                found[i] = prompts, labels.index(photo.label)
    return found | _colours(data, photos)


def _colours(data: Path, photos: Sequence[Photo]) -> dict[int, Choice]:
    rows = read_rows(data / "products" / "products.csv", ("filepath", "article_type", "colour"))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["article_type"]][row["colour"]] += 1
    common = {kind: [colour for colour, _ in of.most_common(COLOURS)] for kind, of in counts.items()}
    of_photo = {f"products/{row['filepath']}": (row["article_type"], row["colour"]) for row in rows}
    found: dict[int, Choice] = {}
    for i, photo in enumerate(photos):
        kind, colour = of_photo.get(photo.path, ("", ""))
        if photo.source == "products" and len(common[kind]) == COLOURS and colour in common[kind]:
            prompts = tuple(PROMPTS["products"].format(f"{each} {kind}".lower()) for each in common[kind])
            found[i] = prompts, common[kind].index(colour)
    return found
