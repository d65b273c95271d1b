"""Indexing of folders, with the options that are stored for each."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from clipsight.core.arguments import DEFAULT_MAX_PIXELS, texts, whole_number
from clipsight.core.errors import LibraryError
from clipsight.indexing.changes import find_changes
from clipsight.indexing.report import IndexProgress, IndexReport, Observer, as_observer, as_reading
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model, Root, State

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.reading import Reader
    from clipsight.models.encoder import Encoder


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Options of an indexed folder, stored in the catalog for later runs."""

    exclude: tuple[str, ...] = ()
    """`fnmatch` patterns of names, or of paths relative to the folder, to leave out (see `scan.walk`)"""
    hidden: bool = False
    """include names that begin with a dot"""
    gps: bool = False
    """store the location (latitude and longitude)"""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """refuse pictures with more pixels, before they are decoded"""
    exact: bool = False
    """decode JPEGs at full size instead of a reduced DCT scale"""
    strict: bool = False
    """refuse truncated files, instead of decoding the part that is there"""
    text: bool = False
    """also read the text in photos, after they have been embedded (see `indexing.reading`)"""

    def to_json(self) -> str:
        """Return the options as JSON for the catalog."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "IndexOptions":
        """Read options from the catalog's JSON."""
        stored = json.loads(text)
        return cls(**{**stored, "exclude": tuple(stored["exclude"])})

    def updated(self, changes: "IndexKeywords") -> "IndexOptions":
        """A copy with those of `changes` that are not None. Raises `LibraryError` for invalid values."""
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        whole_number(given.get("max_pixels"), "max_pixels", minimum=1, error=LibraryError)
        patterns = texts(given.get("exclude", self.exclude), "exclude", error=LibraryError)
        return replace(self, **{**given, "exclude": patterns})

    def accepts_more_than(self, before: "IndexOptions") -> bool:
        """True if some files refused with the options `before` are accepted with these."""
        return self.max_pixels > before.max_pixels or (before.strict and not self.strict)


class IndexKeywords(TypedDict, total=False):
    """Changes to the saved `IndexOptions` of a folder; None keeps an option as it is."""

    exclude: Sequence[str] | None
    hidden: bool | None
    gps: bool | None
    max_pixels: int | None
    exact: bool | None
    strict: bool | None
    text: bool | None


def index_root(
    root: bytes,
    catalog: Catalog,
    model: Model,
    encoder: Callable[[], "Encoder"],
    options: IndexOptions,
    *,
    retry: bool = False,
    settle: float | None = None,
    observer: Observer,
) -> IndexReport:
    """Index the folder `root`; `encoder` is called only if a file has to be embedded.

    `retry` also tries unchanged files that failed before. Files changed in the last `settle` seconds are left
    for a later run. On any exception, everything embedded so far is
    committed and the exception is re-raised. If the folder can't be read, its photos in the catalog are kept
    and marked unreachable; if there are none, raises LibraryError.
    """
    started = time.monotonic()
    known = catalog.has_folder(root)
    changes = find_changes(
        root,
        catalog,
        model,
        exclude=options.exclude,
        hidden=options.hidden,
        retry=retry,
        strict=options.strict,
        settled=None if settle is None else time.time_ns() - round(1e9 * settle),
        on_scanned=observer.scanned,
    )
    if changes.root_error and not known:
        raise LibraryError(f"can't read the folder {changes.root_error}")
    progress = IndexProgress(total=changes.queued)
    _save_root(root, catalog, options, reachable=changes.root_error is None)
    if changes.queued:
        from clipsight.indexing.pipeline import DecodeOptions, Pipeline  # not needed by most searches

        decode_options = DecodeOptions(options.max_pixels, options.gps, options.exact, options.strict)
        Pipeline(catalog, model, encoder(), decode_options, progress, observer.progressed).run()
    if changes.root_error is None:
        _save_root(
            root, catalog, options, reachable=True, indexed=datetime.now().isoformat(timespec="seconds")
        )
    return IndexReport(
        folder=root.decode(errors="backslashreplace"),
        embedded=progress.embedded,
        partial=progress.partial,
        known_content=progress.known_content,
        unchanged=changes.unchanged,
        failed=progress.failed,
        failed_before=changes.failed_before,
        missing=catalog.count_in_state(changes.missing, State.MISSING),
        unreachable=catalog.counts(root).unreachable,
        unsettled=changes.unsettled,
        seconds=time.monotonic() - started,
        problems=tuple(changes.errors),
    )


def index_folders(
    folders: Sequence[bytes],
    catalog: Catalog,
    model: Model,
    encoder: Callable[[], "Encoder"],
    changes: "IndexKeywords",
    *,
    retry: bool = False,
    settle: float | None = None,
    progress: "Observer | ProgressLike" = None,
) -> list[IndexReport]:
    """Index each of `folders` by `index_root`, with its saved options and `changes` to them."""
    reports = []
    with as_observer(progress) as observer:
        for folder in folders:
            before = options_of(folder, catalog)
            options = before.updated(changes)
            again = retry or options.accepts_more_than(before)
            sources = (catalog, model, encoder)
            reports.append(
                index_root(folder, *sources, options, retry=again, settle=settle, observer=observer)
            )
    return reports


def read_folders(
    folders: Sequence[bytes],
    reports: Sequence[IndexReport],
    catalog: Catalog,
    reader: "Callable[[], Reader]",
    *,
    threads: int,
    retry: bool = False,
    progress: "Observer | ProgressLike" = None,
) -> list[IndexReport]:
    """Read the text in photos of indexed folders whose options say so; return their completed reports."""
    complete = []
    with as_reading(progress) as show:
        for folder, report in zip(folders, reports, strict=True):
            options = options_of(folder, catalog)
            if not options.text:
                complete.append(report)
                continue
            from clipsight.indexing.reading import read_texts

            started = time.monotonic()
            limits = {"max_pixels": options.max_pixels, "threads": threads}
            found = read_texts(folder, catalog, reader, **limits, retry=retry, progress=show)
            complete.append(
                replace(
                    report,
                    read=found.read,
                    with_text=found.with_text,
                    unread=found.failed,
                    seconds=report.seconds + time.monotonic() - started,
                )
            )
    return complete


def options_of(folder: bytes, catalog: Catalog) -> IndexOptions:
    """The saved options of an indexed folder, or of the one that it lies in."""
    root = root_of(folder, catalog)
    return IndexOptions.from_json(root.options) if root else IndexOptions()


def check_folders(folders: Sequence[bytes], catalog: Catalog) -> None:
    """Raise `LibraryError` if there are no folders, or one does not exist and has no photo in the catalog."""
    if not folders:
        raise LibraryError("no folder has been indexed yet: name one, like clipsight index ~/Pictures")
    for folder in folders:
        if os.path.isfile(folder):
            raise LibraryError(f"{os.fsdecode(folder)} is a file: name the folder it is in")
        if not os.path.isdir(folder) and not catalog.has_folder(folder):
            raise LibraryError(f"no such folder: {os.fsdecode(folder)}")


def root_of(folder: bytes, catalog: Catalog) -> Root | None:
    """Return the indexed root that is `folder` or one of its parents, if any."""
    for root in catalog.roots():
        base = root.path.rstrip(b"/")
        if folder == root.path or folder.startswith(base + b"/"):
            return root
    return None


def _save_root(
    folder: bytes, catalog: Catalog, options: IndexOptions, *, reachable: bool, indexed: str | None = None
) -> None:
    """Store `folder` as a root, replacing roots below it, unless a parent of it is a root."""
    above = root_of(folder, catalog)
    if above is not None and above.path != folder:
        return
    with catalog.transaction():
        catalog.set_root(folder, options.to_json(), reachable=reachable, indexed=indexed)
