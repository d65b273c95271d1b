"""Check and repair of a library: the catalog's file, rows and vectors, the index files, a sample of photos.

Repair never touches photos, and deletes only data that indexing can restore; a damaged catalog is kept.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from clipsight.core.arguments import whole_number
from clipsight.core.errors import LibraryError
from clipsight.core.progress import StageProgress, no_stage_progress
from clipsight.maintenance.check_catalog import (
    Problem,
    find_dangling_rows,
    find_invalid_rows,
    find_invalid_vectors,
    find_stale_text_index,
    integrity_problems,
)
from clipsight.maintenance.check_index import index_differences
from clipsight.maintenance.recover import recover
from clipsight.maintenance.replacement import connect, exclusive, replace_catalog, temporary_file
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.records import Model

_ABANDONED_SECONDS = 3600
"""Age from which a temporary file is assumed to be left by a killed process."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of the library."""

    description: str
    remedy: str
    """The repair in words."""
    repaired: bool

    def __str__(self) -> str:
        if self.repaired:
            return f"repaired: {self.description}: {self.remedy}"
        return f"{self.description} (`repair=True`: {self.remedy})"


@dataclass
class CheckReport:
    """Result of a check."""

    photos: int = 0
    vectors: int = 0
    compared: int = 0
    """Number of photos that were read and embedded again."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Remarks that are not problems."""

    @property
    def consistent(self) -> bool:
        """True if all problems have been repaired."""
        return all(finding.repaired for finding in self.findings)

    def __str__(self) -> str:
        left = sum(not finding.repaired for finding in self.findings)
        if left:
            return f"not consistent: {left} of {len(self.findings)} problems are left"
        again = f", {self.compared:,} photos read again" if self.compared else ""
        return f"consistent: {self.photos:,} photos, {self.vectors:,} vectors{again}"


def check(
    library: Path, *, photos: int = 0, repair: bool = False, progress: StageProgress = no_stage_progress
) -> CheckReport:
    """Check the library in the folder `library`; `repair` also repairs it.

    `photos` is the size of a random sample of photos to read and embed again. No other process may use a
    damaged catalog while it is repaired. Raises `LibraryError` if there is no library, a newer clipsight
    wrote it, or it can't be repaired, and `ModelError` if the model to embed photos with is missing.
    """
    whole_number(photos, "photos", required=True, error=LibraryError)
    report = CheckReport()
    collect = partial(_collect, report, repair)
    progress("the catalog's file", 0, None)
    collect(_find_damage(library))
    if not report.consistent:
        return report
    with closing(Catalog(library)) as catalog:
        database = catalog.database
        # Each step of a repair must see the changes of the steps before, so there is no snapshot.
        with nullcontext() if repair else catalog.snapshot():
            collect(find_dangling_rows(database))
            progress("rows", 0, None)
            collect(find_invalid_rows(database))
            collect(find_stale_text_index(database))
            collect(find_invalid_vectors(database, progress))
        if report.consistent:  # the index can only be compared with valid vectors
            collect(_find_invalid_index(library, catalog, progress))
        if photos and report.consistent:
            collect(_compare_photos(catalog, photos, report, progress))
        report.notes += [*_unfinished(library, repair), *_earlier_catalogs(library), *_unembedded(catalog)]
        report.photos = catalog.counts().present + catalog.counts().unreachable
        report.vectors = int(database.value("SELECT count(*) FROM vectors"))
    return report


def _collect(report: CheckReport, repair: bool, problems: Iterable[Problem]) -> None:
    """Add the problems to the report; with `repair`, repair each before searching for the next."""
    for problem in problems:
        if repair:
            problem.repair()
        report.findings.append(Finding(problem.description, problem.remedy, repair))


def _find_damage(library: Path) -> Iterator[Problem]:
    """Yield a problem if the catalog is damaged, or was set aside as damaged and is empty since."""
    catalog = library / CATALOG_NAME
    if not os.path.isdir(library):
        raise LibraryError(f"there is no library at {library}: clipsight index ~/Pictures makes one")
    aside = [file for file in _set_aside(library) if ".damaged-" in file.name]
    if not os.path.exists(catalog) and not aside:
        raise LibraryError(f"there is no library at {library}: clipsight index ~/Pictures makes one")
    remedy = "what SQLite can still read of it is kept in a new one; the next clipsight index adds the rest"
    if os.path.exists(catalog) and (lines := integrity_problems(catalog)):
        more = f" and {len(lines) - 1} more such lines" if len(lines) > 1 else ""
        yield Problem(
            f"the catalog is damaged: {lines[0]}{more}", remedy, partial(_recover, catalog, library)
        )
    elif aside and (not os.path.exists(catalog) or _is_empty(catalog)):
        yield Problem(
            f"the catalog was damaged and set aside as {aside[-1].name}; nothing was indexed since",
            remedy,
            partial(_recover, aside[-1], library),
        )


def _recover(damaged: Path, library: Path) -> None:
    """Replace the catalog by a new one with all rows that can be read of the damaged one."""
    catalog = library / CATALOG_NAME
    with ExitStack() as stack:
        new = stack.enter_context(temporary_file(library))
        locked = stack.enter_context(exclusive(catalog)) if os.path.exists(catalog) else None
        if damaged == catalog and locked is not None:
            recover(locked, new)
            replace_catalog(new, catalog, "damaged")
        else:
            recover(stack.enter_context(closing(connect(damaged))), new)
            replace_catalog(new, catalog, "empty")


def _is_empty(catalog: Path) -> bool:
    with closing(connect(catalog)) as connection:
        (empty,) = connection.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'photos')"
        ).fetchone()
        return bool(empty) or not connection.execute("SELECT 1 FROM photos LIMIT 1").fetchone()


def _find_invalid_index(library: Path, catalog: Catalog, progress: StageProgress) -> Iterator[Problem]:
    """Yield a problem if the index file is valid for the catalog's state, but differs from its vectors."""
    from clipsight.store.vectors.index_file import IndexFile

    model = catalog.current_model()
    if model is None:
        return
    folder = library / "vectors"
    progress("index file", 0, None)
    opened = IndexFile(folder, catalog, model).open()
    if opened is None:
        return  # none, or stale: the next search rebuilds it
    index, contents = opened
    if wrong := list(index_differences(index, contents.last_id, catalog, model, progress)):
        yield Problem(
            f"the index file of {model.name} {', '.join(wrong)}",
            "removed; the next clipsight search rebuilds it",
            partial(_remove_files, folder, model),
        )


def _remove_files(folder: Path, model: Model) -> None:
    for file in folder.glob(f"{model.fingerprint[:16]}.*"):
        file.unlink(missing_ok=True)


def _compare_photos(
    catalog: Catalog, photos: int, report: CheckReport, progress: StageProgress
) -> Iterator[Problem]:
    from clipsight.maintenance.check_photos import PhotoComparison
    from clipsight.models.encoder import Encoder
    from clipsight.search.model_selection import model_folder

    model = catalog.current_model()
    if model is None:
        return
    comparison = PhotoComparison(catalog, model, Encoder(model_folder(model)), photos)
    yield from comparison.problems(progress)
    report.compared = comparison.compared
    if comparison.skipped:
        report.notes.append(
            f"{comparison.skipped:,} photos could not be compared: their files have changed or can't be read"
        )


def _unfinished(library: Path, repair: bool) -> Iterator[str]:
    """Yield a line for each file that a killed process left; with `repair`, remove it."""
    for file in chain(library.glob("*.tmp*"), library.glob("vectors/*.tmp*")):
        stat = file.stat()
        if time.time() - stat.st_mtime > _ABANDONED_SECONDS:
            if repair:
                file.unlink(missing_ok=True)
            outcome = "is removed" if repair else "can be removed (`repair=True`)"
            name = file.relative_to(library)
            yield f"{name} ({stat.st_size / 1e6:.0f} MB), left by a killed process, {outcome}"


def _earlier_catalogs(library: Path) -> Iterator[str]:
    for file in _set_aside(library):
        size = file.stat().st_size / 1e6
        yield f"{file.name} ({size:.0f} MB) is an earlier catalog: delete it if nothing is missing"


def _set_aside(library: Path) -> list[Path]:
    """Earlier catalogs that were set aside, without their journals, oldest first."""
    found = [file for file in library.glob(f"{CATALOG_NAME}.*-*") if not file.name.endswith(("-wal", "-shm"))]
    return sorted(found, key=lambda file: file.name.rsplit(".", 1)[1].split("-", 1)[1])


def _unembedded(catalog: Catalog) -> Iterator[str]:
    model = catalog.current_model()
    waiting = 0 if model is None else catalog.count_unembedded(model)
    if waiting:
        yield f"{waiting:,} photos wait to be embedded: clipsight index"
