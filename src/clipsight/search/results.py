"""Results of a library's operations, as frozen dataclasses with conversions to JSON and pandas."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Ids
from clipsight.core.errors import PhotoError
from clipsight.core.extras import require
from clipsight.core.files import total_size
from clipsight.indexing.media.picture import Picture
from clipsight.store.catalog import Catalog
from clipsight.store.records import Counts, Failure, PartialPhoto, Root
from clipsight.store.text_index import TextCounts, count_texts

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Match:
    """A photo found by a search.

    `score` is the cosine of the query's and the photo's embedding (-1 to 1). `width` and `height` are pixels
    of the upright photo, `size` is bytes. `taken` is ISO 8601 in local time, from `taken_source`, such as
    "exif" (see `indexing.media.taken`). Width, height and date are None for imported vectors whose file was
    never read. `reachable` is False while the photo's folder can't be read.
    """

    path: Path
    score: float
    id: int
    width: int | None
    height: int | None
    taken: str | None
    taken_source: str | None
    size: int
    reachable: bool
    copies: tuple[Path, ...] = ()
    """Other files with the same content; empty if the search returned `duplicates` separately."""
    text: tuple[str, ...] = ()
    """The lines of text in the photo that hold words of the query."""

    @property
    def picture(self) -> Picture:
        """The photo as a `Picture`, which opens it."""
        size = (self.width, self.height) if self.width and self.height else None
        return Picture(str(self.path), file=self.path, size=size)

    @property
    def image(self) -> "Image":
        """The photo as a Pillow image: upright, RGB in sRGB; each access reads the file.

        Raises `PhotoError` if the file no longer exists or can't be read.
        """
        try:
            return self.picture.open()
        except PhotoError as error:
            raise PhotoError(f"can't open {self.path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The match as `--json` prints it, with `copies` if there are any."""
        found: dict[str, Any] = {
            "path": str(self.path),
            "score": round(self.score, 6),
            "id": self.id,
            "width": self.width,
            "height": self.height,
            "taken": self.taken,
            "taken_source": self.taken_source,
        }
        if self.copies:
            found["copies"] = list(map(str, self.copies))
        if self.text:
            found["text"] = list(self.text)
        return found


@dataclass(frozen=True)
class Matches(Sequence[Match]):
    """Matches of one query, best first, with the query's text and the model's name."""

    query: str
    model: str
    matches: tuple[Match, ...]
    notes: tuple[str, ...] = ()
    """Lines for the user about the search, such as that a text was cut."""

    def __len__(self) -> int:
        return len(self.matches)

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> "Matches": ...
    def __getitem__(self, index: int | slice) -> "Match | Matches":
        return self.matches[index] if isinstance(index, int) else replace(self, matches=self.matches[index])

    def __repr__(self) -> str:
        best = f", best {self.matches[0].score:.3f} {self.matches[0].path.name!r}" if self.matches else ""
        return f"Matches({self.query!r}, {len(self)} photos{best})"

    def to_dicts(self) -> list[dict[str, Any]]:
        """The matches as a list of plain dictionaries, as in `--json`."""
        return [match.to_dict() for match in self.matches]

    def to_dict(self) -> dict[str, Any]:
        """Query, model and matches as `--json` prints them."""
        return {"query": self.query, "model": self.model, "matches": self.to_dicts()}

    def to_dataframe(self) -> "pandas.DataFrame":
        """The matches as a pandas data frame, with the columns of `Match.to_dict`.

        Raises `LibraryError` if pandas is not installed.
        """
        columns = list(Match(Path(), 0.0, 0, None, None, None, None, 0, True).to_dict())
        return require("notebook", "pandas").DataFrame(self.to_dicts(), columns=columns)

    def _repr_html_(self) -> str:
        """The first photos with their scores, for notebooks."""
        from clipsight.search.notebook import SHOWN, Row, table

        rows = [Row(match.picture, (f"{match.score:.3f}", match.taken or "")) for match in self[:SHOWN]]
        more = len(self) - len(rows)
        return table(repr(self)[8:-1] + f", model {self.model}", ("score", "taken"), rows, more=more)


@dataclass(frozen=True)
class Embeddings:
    """A chunk of photos with their vectors, in the same order: input of classification and probes."""

    ids: Ids
    """photo ids in the library, int64[n]; 0 for a photo that is not in it"""
    paths: tuple[Path, ...]
    vectors: npt.NDArray[np.float32]
    """float32[n, dim], unit length (within float16 precision for stored vectors)"""
    failures: tuple[tuple[Path, str], ...] = ()
    """Files that could not be read, with the reason."""
    pictures: tuple[Picture, ...] = ()
    """The photos as pictures, if they were given as such; empty for photos of the library."""

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Status:
    """Model, folders and counts of a library."""

    path: Path
    model: str | None
    next_model: str | None
    to_embed: int
    """Number of photos without a vector of `next_model`; 0 if no switch is in progress."""
    counts: Counts
    folders: tuple[tuple[Root, Counts], ...]
    failures: tuple[Failure, ...]
    partial: tuple[PartialPhoto, ...]
    """Photos of which only a part could be decoded, with the reason."""
    bytes: int
    """Size of the library's own files on disk."""
    text: TextCounts | None = None
    """Photos by the state of their text; None if none was read and none is to be."""

    @classmethod
    def of(cls, path: Path, catalog: Catalog) -> "Status":
        """Status of the library in the folder `path` with the open `catalog`."""
        current, upcoming = catalog.current_model(), catalog.next_model()
        return cls(
            path=path,
            model=current.name if current else None,
            next_model=upcoming.name if upcoming else None,
            to_embed=catalog.count_unembedded(upcoming) if upcoming else 0,
            counts=catalog.counts(),
            folders=tuple((root, catalog.counts(root.path)) for root in catalog.roots()),
            failures=tuple(catalog.failures()),
            partial=tuple(catalog.partial_photos()),
            bytes=total_size(path),
            text=_text_counts(catalog),
        )


def _text_counts(catalog: Catalog) -> TextCounts | None:
    from clipsight.indexing.indexer import IndexOptions

    folders = [root.path for root in catalog.roots() if IndexOptions.from_json(root.options).text]
    counts = count_texts(catalog.database, folders)
    return counts if folders or counts.read or counts.failures else None
