"""Embeddings of labels by prompt ensembling, with a cache on disk.

A label's embedding is the mean of the unit vectors of its prompts (the templates with the label filled in),
scaled to unit length (Radford et al. 2021, arXiv:2103.00020, section 3.1.4).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipsight.core import paths
from clipsight.core.arrays import Float32
from clipsight.store.cache import BlobCache

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder


MAX_BYTES = 64 << 20
"""Maximum size of the cache in bytes, some 20,000 vectors of 512 numbers; the oldest are evicted first."""

_TEXTS_PER_BATCH = 1024
"""Texts embedded before their labels are cached: an interrupted run continues from there."""
_DEFINITION = "mean of the templates' unit vectors, unit length, float32"
"""Part of every cache key; changing it invalidates all cached vectors."""


def fill(templates: Iterable[str], label: str) -> list[str]:
    """One prompt per template, with the label in place of `{}`; braces in the label have no meaning."""
    return [template.replace("{}", label) for template in templates]


def embed_labels(
    labels: Sequence[str], templates: Sequence[str], encode_texts: Callable[[list[str]], Float32]
) -> Float32:
    """Embeddings of the labels: float32[labels, dim] of unit length.

    `encode_texts` returns unit vectors float32[n, dim]; each of `templates` has one `{}` for the label.
    """
    return np.concatenate([vectors for _, vectors in _batches(labels, templates, encode_texts)])


def cached_label_embeddings(
    labels: Sequence[str], templates: Sequence[str], encoder: "Encoder", cache: "LabelCache | None"
) -> Float32:
    """As `embed_labels`; only labels that are not in `cache` are embedded, and then added to it."""
    if cache is None:
        return embed_labels(labels, templates, encoder.encode_texts)
    content = encoder.folder.content_hash()
    keys = [cache.key(content, templates, label) for label in labels]
    vector_of = {key: vector for key, vector in cache.get(keys).items() if len(vector) == encoder.dim}
    missing = [label for key, label in zip(keys, labels, strict=True) if key not in vector_of]
    for batch, vectors in _batches(missing, templates, encoder.encode_texts):
        new = {
            cache.key(content, templates, label): vector for label, vector in zip(batch, vectors, strict=True)
        }
        cache.put(new)
        vector_of |= new
    return np.stack([vector_of[key] for key in keys])


def _batches(
    labels: Sequence[str], templates: Sequence[str], encode_texts: Callable[[list[str]], Float32]
) -> Iterator[tuple[Sequence[str], Float32]]:
    """Yield batches of labels, in order, with their embeddings float32[batch, dim]."""
    step = max(1, _TEXTS_PER_BATCH // len(templates))
    for start in range(0, len(labels), step):
        batch = labels[start : start + step]
        vectors = encode_texts([text for label in batch for text in fill(templates, label)])
        means = vectors.reshape(len(batch), len(templates), -1).mean(axis=1)
        yield batch, means / np.linalg.norm(means, axis=1, keepdims=True)


class LabelCache:
    """Cache of label embeddings in a library's folder, shared by all processes that use the library."""

    def __init__(self, folder: Path) -> None:
        self._blobs = BlobCache(folder / paths.LABELS, max_bytes=MAX_BYTES)

    @staticmethod
    def key(content: str, templates: Sequence[str], label: str) -> bytes:
        """Hash, 16 bytes, of a model's `content_hash`, the prompt templates and a label."""
        import xxhash

        parts = (_DEFINITION, content, *templates, label)
        return xxhash.xxh3_128_digest("".join(f"{len(part)}:{part}" for part in parts).encode())

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Float32]:
        """The cached vectors, float32[dim], by key."""
        blobs = self._blobs.get(keys)
        return {key: np.frombuffer(blob, dtype="<f4").astype(np.float32) for key, blob in blobs.items()}

    def put(self, vectors: Mapping[bytes, Float32]) -> None:
        """Add vectors, float32[dim]."""
        self._blobs.put(
            {key: np.ascontiguousarray(vector, dtype="<f4").tobytes() for key, vector in vectors.items()}
        )
