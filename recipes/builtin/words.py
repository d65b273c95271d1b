"""Words for photos that came with a label instead of a caption.

ImageNet's class names are a botanist's and a dealer's: few people search for "redbone" or "ashcan". Each
class also gets the everyday words somebody would type (class_words.csv): by hand for single classes, and by
range for the families that the class order keeps together.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Names that two classes share, or that first mean something else to a text encoder.
_RENAMED: Mapping[int, str] = {
    134: "crane bird",
    264: "Cardigan Welsh corgi",
    517: "crane machine",
    639: "tank suit swimsuit",
    408: "amphibious car",
    836: "sunglass lenses",
    916: "web site page",
    998: "corn ear",
    989: "rose hip",
    586: "half-track army vehicle",
    735: "poncho cloak",
    653: "milk can",
    428: "wheelbarrow",
    8: "hen chicken",
}


@cache
def _everyday_words() -> list[tuple[int, int, list[str]]]:
    """class_words.csv: first class, last class, what people call all of them; single classes come first."""
    with Path(__file__).with_name("class_words.csv").open(newline="", encoding="utf-8") as file:
        return [(int(r["first"]), int(r["last"]), r["words"].split("|")) for r in csv.DictReader(file)]


def class_words(index: int, name: str) -> tuple[str, ...]:
    """Everything that ImageNet class `index`, called `name`, is searched for by; the most exact first."""
    words = [_RENAMED.get(index, name).lower()]
    words += [word for first, last, said in _everyday_words() if first <= index <= last for word in said]
    return tuple(dict.fromkeys(words))


def article(noun: str) -> str:
    """`noun` with a or an before it."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def class_captions(index: int, name: str) -> tuple[str, ...]:
    """Captions of an ImageNet class, for its sample photo and for its prototype."""
    words = class_words(index, name)
    captions = [words[0], f"a photo of {article(words[0])}"]
    for word in words[1:]:
        captions += [f"a photo of {article(word)}", word]
    if len(words) > 1:
        captions.append(f"{article(words[0])}, a kind of {words[-1]}")
    return tuple(captions)


_SINGULAR: Mapping[str, str] = {
    "tshirts": "t-shirt",
    "jeans": "jeans",
    "shorts": "shorts",
    "trousers": "trousers",
    "sweatshirts": "sweatshirt",
    "dresses": "dress",
    "watches": "watch",
    "tights": "tights",
    "leggings": "leggings",
    "capris": "capri pants",
    "sunglasses": "sunglasses",
    "socks": "socks",
    "scarves": "scarf",
    "track pants": "track pants",
    "casual shoes": "casual shoes",
    "sports shoes": "sports shoes",
    "formal shoes": "formal shoes",
    "flip flops": "flip flops",
    "sandals": "sandals",
    "heels": "heels",
    "flats": "flats",
}


def singular(kind: str) -> str:
    """The shop's article type ("Tshirts") as one thing a person would name ("t-shirt")."""
    kind = kind.lower()
    if kind in _SINGULAR:
        return _SINGULAR[kind]
    return kind[:-1] if kind.endswith("s") and not kind.endswith("ss") else kind


_WEARER: Mapping[str, str] = {"Men": "man", "Women": "woman", "Boys": "boy", "Girls": "girl"}


def product_captions(row: Mapping[str, str]) -> tuple[str, ...]:
    """Captions for a shop photo on white, from its name, colour, article type and wearer."""
    colour, kind = row["colour"].lower(), row["article_type"].lower()
    one = singular(kind)
    captions = [
        f"a photo of {colour} {kind}",
        f"a photo of {article(colour)} {one}",
        f"{colour} {one}",
        f"{colour} {kind} on a white background",
        row["name"],
    ]
    wearer = _WEARER.get(row["gender"])
    if wearer:
        captions.append(f"{article(colour)} {one} for a {wearer}")
        captions.append(f"{wearer} with {colour} {kind}")
    return tuple(captions)


_CLOTHES: Mapping[str, tuple[str, ...]] = {
    "dress": ("dress", "woman's dress"),
    "hat": ("hat", "cap", "hat on a head"),
    "longsleeve": ("longsleeve", "long sleeve shirt", "sweater", "long-sleeved top"),
    "outwear": ("outwear", "jacket", "coat", "outerwear"),
    "pants": ("pants", "trousers", "jeans", "pair of pants"),
    "shirt": ("shirt", "button-up shirt", "shirt with a collar"),
    "shoes": ("shoes", "pair of shoes", "sneakers", "boots"),
    "shorts": ("shorts", "pair of shorts"),
    "skirt": ("skirt", "woman's skirt"),
    "t-shirt": ("t-shirt", "tee", "short-sleeved t-shirt"),
}

_SCENES: Mapping[str, tuple[str, ...]] = {
    "buildings": ("buildings", "tall buildings in a city", "architecture", "a building"),
    "forest": ("forest", "trees in a forest", "woods", "a path through the forest"),
    "glacier": ("glacier", "ice and snow", "a glacier in the mountains", "an iceberg"),
    "mountain": ("mountain", "mountains under the sky", "a mountain peak", "mountain landscape"),
    "sea": ("sea", "the ocean", "waves on the sea", "a beach by the sea"),
    "street": ("street", "a street in the city", "cars and people on the street", "a road between houses"),
}


def clothing_captions(label: str) -> tuple[str, ...]:
    """Captions for a photo of clothes of one class."""
    words = _CLOTHES.get(label, (label,))
    return tuple(words) + tuple(f"a photo of {article(word)}" for word in words) + (f"a person's {words[0]}",)


def scene_captions(label: str) -> tuple[str, ...]:
    """Captions for a landscape or city photo of one class."""
    words = _SCENES.get(label, (label,))
    return tuple(words) + tuple(f"a photo of {word}" for word in words)
