"""Queries of all languages with their vectors, kept between runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from clipsight.models.encoder import Encoder
from recipes.builtin.languages import CAPTIONED, captions_in, load_pairs, names_in

from .data import Photos, Vectors
from .pairs import Asked
from .queries import Query, english, translated


def ask(
    photos: Photos,
    data: Path,
    languages: Sequence[str],
    encoder: Encoder,
    work: Path,
    log: Callable[[str], None],
) -> Asked:
    """Queries in these languages about the photos, embedded. Raises RecipeError for missing data."""
    own = english(photos, data)
    queries: list[Query] = own if "en" in languages else []
    others = [language for language in languages if language != "en"]
    names = names_in(load_pairs(data, ()), others) if others else {}
    for language in others:
        captions = captions_in(data, language) if language in CAPTIONED else {}
        queries = [*queries, *translated(own, language, names[language], captions, photos)]
    return Asked(tuple(queries), _embedded(queries, encoder, work, log))


def _embedded(queries: Sequence[Query], encoder: Encoder, work: Path, log: Callable[[str], None]) -> Vectors:
    cache = work / f"texts-{encoder.folder.fingerprint()}.npz"
    known: dict[str, Vectors] = {}
    if cache.is_file():
        with np.load(cache) as kept:
            known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))
    missing = list(dict.fromkeys(query.text for query in queries if query.text not in known))
    if missing:
        log(f"embedding {len(missing)} texts")
        known |= dict(zip(missing, encoder.encode_texts(missing), strict=True))
        work.mkdir(parents=True, exist_ok=True)
        np.savez(cache, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[query.text] for query in queries])
