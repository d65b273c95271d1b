"""Embeddings of labels: prompt templates filled in, embedded and averaged; with a cache on disk.

A label's embedding is the mean of the unit vectors of its filled templates, scaled to unit length (Radford et
al. 2021, arXiv:2103.00020, section 3.1.4).
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clipsight.store.database import DAMAGED, SQLITE_ERRORS, sqlite_code

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]

MAX_LABELS = 20_000
"""Labels in a cache; the oldest are dropped first. 40 MB for vectors of 512 numbers."""

_TIMEOUT_SECONDS = 5.0  # for another process's commit, which takes milliseconds
_KEYS_PER_STATEMENT = 500
_TEXTS_PER_BATCH = 1024
"""Texts embedded before their labels are cached: an interrupted run continues from there."""
_MEANING = "mean of the templates' unit vectors, unit length, float32"
"""Part of every key: a new sentence here invalidates all cached vectors."""


def fill(templates: Iterable[str], label: str) -> list[str]:
    """One text per template; braces in the label are ordinary characters."""
    return [template.replace("{}", label) for template in templates]


def embed_labels(
    labels: Sequence[str], templates: Sequence[str], encode_texts: Callable[[list[str]], Vectors]
) -> Vectors:
    """Embeddings of the labels, float32[labels, dim], unit length, computed by `encode_texts`.

    `encode_texts` returns unit vectors float32[n, dim]; each of `templates` has one `{}` for the label.
    """
    return np.concatenate([vectors for _, vectors in _batches(labels, templates, encode_texts)])


def cached_label_embeddings(
    labels: Sequence[str], templates: Sequence[str], encoder: "Encoder", cache: "LabelCache | None"
) -> Vectors:
    """As `embed_labels`, but only the labels that `cache` lacks are embedded, and then added to it."""
    if cache is None:
        return embed_labels(labels, templates, encoder.encode_texts)
    fingerprint = encoder.folder.fingerprint()
    keys = [cache.key(fingerprint, templates, label) for label in labels]
    vector_of = {key: vector for key, vector in cache.get(keys).items() if len(vector) == encoder.dim}
    missing = [label for key, label in zip(keys, labels, strict=True) if key not in vector_of]
    for batch, vectors in _batches(missing, templates, encoder.encode_texts):
        new = {
            cache.key(fingerprint, templates, label): vector
            for label, vector in zip(batch, vectors, strict=True)
        }
        cache.put(new)
        vector_of |= new
    return np.stack([vector_of[key] for key in keys])


def _batches(
    labels: Sequence[str], templates: Sequence[str], encode_texts: Callable[[list[str]], Vectors]
) -> Iterator[tuple[Sequence[str], Vectors]]:
    """Yield labels in order, a batch at a time, with their embeddings float32[batch, dim]."""
    step = max(1, _TEXTS_PER_BATCH // len(templates))
    for start in range(0, len(labels), step):
        batch = labels[start : start + step]
        vectors = encode_texts([text for label in batch for text in fill(templates, label)])
        means = vectors.reshape(len(batch), len(templates), -1).mean(axis=1)
        yield batch, means / np.linalg.norm(means, axis=1, keepdims=True)


class LabelCache:
    """Cache of label embeddings in a library's folder, shared by all processes that use the library.

    Each vector is stored with a checksum of key and vector; a vector damaged on disk counts as missing. A
    damaged file is replaced by a new one; a file that can't be read or written disables the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "labels.sqlite3"

    @staticmethod
    def key(fingerprint: str, templates: Sequence[str], label: str) -> bytes:
        """Hash of 16 bytes of a model's fingerprint, the texts of the templates, and a label."""
        import xxhash

        parts = (_MEANING, fingerprint, *templates, label)
        return xxhash.xxh3_128_digest("".join(f"{len(part)}:{part}" for part in parts).encode())

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Vector]:
        """Vectors, float32[dim], of the cached ones among `keys`."""
        wanted = list(keys)
        found: dict[bytes, Vector] = {}
        with suppress(*SQLITE_ERRORS), closing(self._open(create=False)) as connection:
            for start in range(0, len(wanted), _KEYS_PER_STATEMENT):
                part = wanted[start : start + _KEYS_PER_STATEMENT]
                rows = connection.execute(
                    f"SELECT key, checksum, vector FROM labels WHERE key IN ({', '.join('?' * len(part))})",
                    part,
                )
                for key, checksum, vector in rows:
                    if type(vector) is bytes and checksum == _checksum(key, vector):
                        found[key] = np.frombuffer(vector, dtype="<f4").astype(np.float32)
        return found

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Store these vectors; do nothing if the file can't be written."""
        rows = []
        for key, vector in vectors.items():
            blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
            rows.append((key, _checksum(key, blob), blob))
        try:
            self._write(rows)
        except SQLITE_ERRORS as error:
            if not _is_damage(error):
                return
            self._remove()
            with suppress(*SQLITE_ERRORS):
                self._write(rows)

    def _write(self, rows: list[tuple[bytes, bytes, bytes]]) -> None:
        with closing(self._open(create=True)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")  # a file damaged by a power cut is replaced
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS labels (number INTEGER PRIMARY KEY AUTOINCREMENT, "
                "key BLOB NOT NULL UNIQUE, checksum BLOB NOT NULL, vector BLOB NOT NULL)"
            )
            connection.executemany(
                "INSERT OR REPLACE INTO labels (key, checksum, vector) VALUES (?, ?, ?)", rows
            )
            connection.execute(
                "DELETE FROM labels WHERE number <= (SELECT max(number) FROM labels) - ?", (MAX_LABELS,)
            )

    def _open(self, *, create: bool) -> sqlite3.Connection:
        address = f"{self.file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        return sqlite3.connect(address, uri=True, timeout=_TIMEOUT_SECONDS, isolation_level=None)

    def _remove(self) -> None:
        """Delete the file; first its journal, from which SQLite would restore old pages into a new file."""
        for suffix in ("-journal", ""):
            with suppress(OSError):
                self.file.with_name(self.file.name + suffix).unlink()


def _checksum(key: bytes, vector: bytes) -> bytes:
    import xxhash

    return xxhash.xxh3_64_digest(key + vector)


def _is_damage(error: Exception) -> bool:
    """True if the file is damaged or holds another table; false for a lock or a full disk."""
    return sqlite_code(error) in (*DAMAGED, sqlite3.SQLITE_ERROR)
