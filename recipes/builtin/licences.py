"""Licences of the data sets, and the choice between all of them and the freely licensed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Choice = Literal["all", "free"]
CHOICES: tuple[Choice, ...] = ("all", "free")

LICENCES: Mapping[str, str] = {
    "flickr": "research",
    "coco": "captions CC BY 4.0, photos under their own Flickr licences",
    "products": "not stated",
    "clothing": "CC0",
    "scenes": "not stated",
    "imagenet": "ImageNet terms (research)",
    "caltech101": "CC BY 4.0",
    "grocery": "MIT",
    "instruments": "not stated",
    "food10": "research",
    "tools": "CC BY 4.0",
    "rooms": "not stated",
    "trash": "MIT",
    "drawn_sketch": "research",
    "drawn_cartoon": "research",
    "drawn_art_painting": "research",
    "recipes": "public domain",
    "homecooked": "MIT",
    "dishes_cn_home": "Unlicense",
    "dishes_cn_studio": "not stated",
    "kids": "GPL, CC BY-SA",
    "stamps": "GPL-2",
    "signs": "not stated",
    "receipts": "MIT",
    "screenshots": "GFDL, CC BY-SA",
    "captioned_languages": "research",
    "coco_captions": "CC BY 4.0",
    "emoji_names_cldr": "Unicode",
    "wordnet_concrete_nouns": "CC BY, some CC BY-SA",
    "dictionaries": "not stated",
    "imagenet_class_names": "not stated",
    "tatoeba": "CC BY 2.0",
    "tuxpaint_sentences": "GPL-2",
    "multi30k": "research",
}
"""What `shared/data/README.md` says of each set; photos and texts of unknown licence are not stated."""

FREE = frozenset({"CC0", "CC BY 4.0", "CC BY 2.0", "MIT", "public domain", "Unlicense", "Unicode"})


def allowed(source: str, choice: Choice) -> bool:
    """Tell if a model with this choice may be trained on `source`. Raises KeyError for an unknown set."""
    licence = LICENCES[source]
    return choice == "all" or licence in FREE
