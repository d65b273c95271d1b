"""Text-to-image and image-to-text retrieval on a CSV of captions; a photo may have several captions.

The protocol is that of `metrics.retrieval`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsight.core.errors import LabelError
from clipsight.core.tables import read_table
from clipsight.metrics.retrieval import RetrievalMetrics, retrieval_metrics
from clipsight.probe.embedding import embed_files

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.report import Observer
    from clipsight.library import Library


@dataclass(frozen=True)
class Retrieval:
    """Retrieval metrics in both directions."""

    model: str
    photos: int
    captions: int
    text_to_image: RetrievalMetrics
    image_to_text: RetrievalMetrics
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason; they and their captions are left out."""

    def to_dict(self) -> dict[str, Any]:
        """The evaluation for JSON."""
        return {
            "model": self.model,
            "photos": self.photos,
            "captions": self.captions,
            "text_to_image": self.text_to_image.to_dict(),
            "image_to_text": self.image_to_text.to_dict(),
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
        }


def measure_retrieval(
    source: Path, library: "Library", *, progress: "Observer | ProgressLike" = None
) -> Retrieval:
    """Measure retrieval on the photos of a CSV with `filepath` and `caption`, one row per caption.

    The photos' folders are first indexed in `library`. Raises `LabelError` for an invalid CSV, or if no photo
    can be read.
    """
    captions = read_captions(source)
    paths, images, failures = embed_files(list(captions), library, progress=progress)
    if not paths:
        raise LabelError(f"no photo of {source} can be read: the first is {failures[0][0]}, {failures[0][1]}")
    texts = library.encoder.encode_texts([caption for path in paths for caption in captions[path]])
    owner = [row for row, path in enumerate(paths) for _ in captions[path]]
    metrics = retrieval_metrics(images, texts, owner)
    return Retrieval(library.model, len(paths), len(texts), *metrics, failures)


def read_captions(source: Path) -> dict[Path, list[str]]:
    """Read the captions of each photo from a CSV with the columns `filepath` and `caption`.

    Paths are relative to the CSV file's folder. Raises `LabelError`.
    """
    found: dict[Path, list[str]] = {}
    for line, filepath, caption in read_table(source, ("filepath", "caption"), error=LabelError):
        if not filepath or not caption:
            raise LabelError(f"{source}, line {line}: filepath or caption is empty")
        found.setdefault(Path(filepath), []).append(caption)
    if not found:
        raise LabelError(f"{source} has no caption: write one row per caption, with filepath and caption")
    return found
