"""Texts that match a photo: the lines of a file of any length, ranked by cosine.

The lines are embedded once and stored as FAISS indexes (shards) of `SHARD` lines each, in a folder named
after the model and the file's content. An interrupted run continues after the last complete shard; one shard
at a time is in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsight.core import paths
from clipsight.core.arguments import whole_number
from clipsight.core.arrays import Float32
from clipsight.core.errors import LabelError, LibraryError, QueryError
from clipsight.core.files import atomic_write
from clipsight.core.progress import Progress, no_progress
from clipsight.core.text import is_url
from clipsight.search.query import Query, embed_parts

if TYPE_CHECKING:
    from clipsight.indexing.media.picture import PhotoLike
    from clipsight.models.encoder import Encoder

SHARD = 4096
"""Number of lines embedded and written together, the most that an interruption loses."""

_TEXTS_PER_BATCH = 256  # texts between two reports of progress


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A line of the file: its number, counted from 1, its text, and the cosine of text and photo."""

    line: int
    text: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """The match as `--json` prints it."""
        return {"line": self.line, "text": self.text, "score": round(self.score, 6)}


def embed_photo(photo: "PhotoLike", encoder: "Encoder") -> Float32:
    """Unit vector of a photo of any kind, float32[dim]. Raises `QueryError`."""
    query = Query.of(Path(photo) if isinstance(photo, str) and not is_url(photo) and photo else photo)
    file = query.parts[0].source.file
    if file is not None and paths.find_file(str(file)) is None:
        raise QueryError(f"no such photo: {file}")
    vector: Float32 = embed_parts(query, encoder)[0]
    return vector


def match_texts(
    vector: Float32,
    file: Path,
    encoder: "Encoder",
    top: int = 5,
    *,
    progress: Progress = no_progress,
) -> list[TextMatch]:
    """The `top` texts of `file` (UTF-8, one a line, blank lines ignored) with the highest cosine.

    `vector` is the photo's, float32[dim], unit length, from the same model as `encoder`. Vectors of texts are
    stored in float16. Raises `LabelError` for a file that can't be read, is not UTF-8, is empty or changes
    meanwhile, and `LibraryError` if the vectors can't be written.
    """
    whole_number(top, "top", minimum=1, required=True, error=LabelError)
    total, content = _fingerprint(file)
    folder = paths.texts_folder() / f"{encoder.folder.content_hash()[:16]}-{content}"
    best: list[TextMatch] = []
    texts = _texts(file)
    done = 0
    while shard := list(islice(texts, SHARD)):
        stored = folder / f"{done // SHARD:06}.faiss"
        index = _open(stored, len(shard), encoder.dim)
        if index is None:
            vectors = _embed([text for _, text in shard], encoder, progress, done, total)
            _check_unchanged(file, total, content)
            index = _write(vectors, stored)
        best = _best(best, index, shard, vector, top)
        done += len(shard)
    _check_unchanged(file, total, content)
    return best


def _best(
    best: list[TextMatch], index: Any, shard: Sequence[tuple[int, str]], vector: Float32, top: int
) -> list[TextMatch]:
    """Update the best matches of earlier shards by those of one more shard."""
    scores, rows = index.search(vector[None, :], min(top, len(shard)))
    for score, row in zip(scores[0].tolist(), rows[0].tolist(), strict=True):
        line, text = shard[row]
        best = [*best, TextMatch(line, text, score)]
    return sorted(best, key=lambda match: (-match.score, match.line))[:top]


def _embed(texts: Sequence[str], encoder: "Encoder", progress: Progress, done: int, total: int) -> Float32:
    """Embed texts: float32[n, dim]. A batch is padded to its longest text, so texts are sorted by length."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors = np.empty((len(texts), encoder.dim), np.float32)
    for start in range(0, len(texts), _TEXTS_PER_BATCH):
        progress(done + start, total)
        rows = order[start : start + _TEXTS_PER_BATCH]
        vectors[rows] = encoder.encode_texts([texts[row] for row in rows])
    progress(done + len(texts), total)
    return vectors


def _write(vectors: Float32, file: Path) -> Any:
    """Write the vectors of a shard, float32[n, dim], atomically, and return their index."""
    import faiss

    index = faiss.IndexScalarQuantizer(
        vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.add(vectors)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            faiss.write_index(index, str(temporary))
    except (LibraryError, OSError, RuntimeError) as error:  # FAISS reports I/O errors as RuntimeError
        reason = getattr(error.__cause__ or error, "strerror", None) or "the disk is full or fails"
        raise LibraryError(
            f"can't write the texts' vectors in {file.parent} ({reason}): "
            "choose another place with CLIPSIGHT_HOME"
        ) from error
    return index


def _open(file: Path, count: int, dim: int) -> Any:
    """Memory-mapped index of a shard; None if it is missing or incomplete."""
    import faiss

    try:
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError:
        return None
    return index if (index.ntotal, index.d) == (count, dim) else None


def _check_unchanged(file: Path, total: int, content: str) -> None:
    if _fingerprint(file) != (total, content):
        raise LabelError(f"{file} was changed while it was read: run the command again")


def _fingerprint(file: Path) -> tuple[int, str]:
    """Number of texts in `file`, and a hash of its content."""
    import xxhash

    content = xxhash.xxh3_128()
    count = sum(1 for _ in _texts(file, content.update))
    if not count:
        raise LabelError(f"{file} holds no text: write one a line")
    return count, content.hexdigest()


def _texts(file: Path, update: Callable[[bytes], None] = lambda line: None) -> Iterator[tuple[int, str]]:
    """Yield texts with their line numbers; `update` is called with the bytes of every line."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                update(line)
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    yield number, text
    except UnicodeDecodeError as error:
        raise LabelError(f"{file}, line {number} is not UTF-8 text: save the file as UTF-8") from error
    except OSError as error:
        raise LabelError(f"can't read {file}: {error.strerror}") from error
