"""Bring one folder up to date: find what has changed, read it, and say what was done."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from clipsight.core.errors import LibraryError
from clipsight.indexing.changes import find_changes
from clipsight.indexing.media.photo import DEFAULT_MAX_PIXELS
from clipsight.indexing.pipeline import Pipeline, Progress, ReadOptions
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model, Root, State

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How a folder is indexed; kept with the folder, so that later runs do the same.

    `exclude` are `fnmatch` patterns of names or of paths below the folder; `hidden` takes names
    that begin with a dot; `gps` keeps EXIF positions; `max_pixels` refuses larger pictures before
    decoding; `exact` decodes JPEGs at full size (DESIGN: DCT scaling is the default).
    """

    exclude: tuple[str, ...] = ()
    hidden: bool = False
    gps: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    exact: bool = False

    def to_json(self) -> str:
        """The options as the catalog keeps them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, **changes: Any) -> "IndexOptions":
        """Options kept by the catalog, with `changes` that are not None."""
        kept = json.loads(text)
        kept.update({name: value for name, value in changes.items() if value is not None})
        return cls(**{**kept, "exclude": tuple(kept["exclude"])})


@dataclass(frozen=True)
class IndexReport:
    """What one run over one folder did, in files."""

    folder: str
    embedded: int = 0
    known_content: int = 0
    """Moved, renamed, copied or touched files: recognised by content, not embedded again."""
    unchanged: int = 0
    failed: int = 0
    failed_before: int = 0
    """Files that failed in an earlier run, have not changed, and were not tried again."""
    missing: int = 0
    unreachable: int = 0
    """Photos whose folder can't be read now; they are kept."""
    seconds: float = 0.0
    problems: tuple[str, ...] = field(default=())
    """Folders that could not be read, with the reason."""

    @property
    def changed(self) -> bool:
        """Whether any vector was added or dropped."""
        return bool(self.embedded or self.known_content or self.failed or self.missing)

    def __str__(self) -> str:
        counts = {
            "new": self.embedded,
            "recognised": self.known_content,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "failed before": self.failed_before,
            "gone": self.missing,
            "unreachable": self.unreachable,
        }
        shown = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        return f"{self.folder}: {shown or 'no photos'} ({self.seconds:.1f} s)"


class Observer(Protocol):
    """What wants to know how far a run is, such as a progress bar."""

    def scanned(self, files: int) -> None:
        """The walk has seen so many files."""

    def progressed(self, progress: Progress) -> None:
        """Some files were settled."""


class Silent:
    """An observer that shows nothing."""

    def scanned(self, files: int) -> None:
        """Ignore it."""

    def progressed(self, progress: Progress) -> None:
        """Ignore it."""


def index_root(
    root: bytes,
    catalog: Catalog,
    model: Model,
    encoder: Callable[[], "Encoder"],
    options: IndexOptions,
    *,
    retry: bool = False,
    observer: Observer,
) -> IndexReport:
    """Index the folder `root`; `encoder` is called only if a file has to be embedded.

    A folder that can't be read is an error, unless the catalog already holds photos of it:
    then they are kept and marked unreachable. Interrupted by any exception, everything embedded
    so far is committed and the exception goes on.
    """
    started = time.monotonic()
    known = catalog.knows(root)
    changes = find_changes(
        root,
        catalog,
        model,
        exclude=options.exclude,
        hidden=options.hidden,
        retry=retry,
        seen=observer.scanned,
    )
    if changes.root_error and not known:
        raise LibraryError(f"can't read the folder {changes.root_error}")
    progress = Progress(total=changes.queued)
    _keep_root(root, catalog, options, reachable=changes.root_error is None)
    if changes.queued:
        read = ReadOptions(options.max_pixels, options.gps, options.exact)
        Pipeline(catalog, model, encoder(), read, progress, observer.progressed).run()
    if changes.root_error is None:
        _keep_root(
            root, catalog, options, reachable=True, indexed=datetime.now().isoformat(timespec="seconds")
        )
    return IndexReport(
        folder=root.decode(errors="backslashreplace"),
        embedded=progress.embedded,
        known_content=progress.known_content,
        unchanged=changes.unchanged,
        failed=progress.failed,
        failed_before=changes.failed_before,
        missing=catalog.count_in_state(changes.missing, State.MISSING),
        unreachable=catalog.counts(root).unreachable,
        seconds=time.monotonic() - started,
        problems=tuple(changes.errors),
    )


def root_of(folder: bytes, catalog: Catalog) -> Root | None:
    """The indexed root that is `folder` or lies above it."""
    for root in catalog.roots():
        base = root.path.rstrip(b"/")
        if folder == root.path or folder.startswith(base + b"/"):
            return root
    return None


def _keep_root(
    folder: bytes, catalog: Catalog, options: IndexOptions, *, reachable: bool, indexed: str | None = None
) -> None:
    """Remember `folder` as a root, unless it lies in one; roots that lie in it are absorbed."""
    above = root_of(folder, catalog)
    if above is not None and above.path != folder:
        return
    with catalog.transaction():
        catalog.set_root(folder, options.to_json(), reachable=reachable, indexed=indexed)
