"""Whether a library is sound, and how it is mended: `clipsight check`. Called by `library`.

The catalog's file, its rows and vectors, the index files made from it, and, if asked, photos read again.
Mending never touches photos and throws nothing away that they can't give again; a damaged catalog is kept.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.maintenance.check_catalog import (
    Problem,
    Progress,
    damage,
    wrong_references,
    wrong_rows,
    wrong_vectors,
)
from clipsight.maintenance.check_index import wrong_in_index
from clipsight.maintenance.recover import recover
from clipsight.maintenance.replacement import connect, held, put_in_place, temporary
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.records import Model

_UNFINISHED_SECONDS = 3600
"""A temporary file that was not written to for so long is not being written."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is, or was, wrong."""

    wrong: str
    remedy: str
    """What mending it did, or would do; empty where only the user can."""
    mended: bool

    def __str__(self) -> str:
        if self.mended:
            return f"mended: {self.wrong}: {self.remedy}"
        return f"{self.wrong} (`repair=True`: {self.remedy})"


@dataclass
class CheckReport:
    """What a check found."""

    photos: int = 0
    vectors: int = 0
    compared: int = 0
    """Photos that were read and embedded again."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, but not wrong."""

    @property
    def consistent(self) -> bool:
        """Whether nothing is wrong any more."""
        return all(finding.mended for finding in self.findings)

    def __str__(self) -> str:
        left = sum(not finding.mended for finding in self.findings)
        if left:
            return f"not consistent: {left} of {len(self.findings)} problems are left"
        again = f", {self.compared:,} photos read again" if self.compared else ""
        return f"consistent: {self.photos:,} photos, {self.vectors:,} vectors{again}"


def _no_progress(what: str, done: int, total: int | None) -> None:
    """Show nothing."""


def check(
    library: Path, *, photos: int = 0, repair: bool = False, progress: Progress = _no_progress
) -> CheckReport:
    """Check the library in the folder `library`; to mend a damaged catalog nobody else may use it.

    `photos`: so many, chosen by chance, are read and embedded again. With `repair`, what is wrong is
    mended. Raises `LibraryError` where there is no library, a newer clipsight wrote it, or it can't be
    mended, and `ModelError` where photos are to be embedded and the model is not to be had.
    """
    report = CheckReport()
    settle = partial(_settle, report, repair)
    progress("the catalog's file", 0, None)
    settle(_wrong_catalog(library))
    if not report.consistent:
        return report
    with closing(Catalog(library)) as catalog:
        database = catalog.database
        # Mending goes step by step, each of which must see the ones before.
        with nullcontext() if repair else catalog.snapshot():
            settle(wrong_references(database))
            progress("rows", 0, None)
            settle(wrong_rows(database))
            settle(wrong_vectors(database, progress))
        if report.consistent:  # an index file can't be compared with vectors that can't be
            settle(_wrong_index_file(library, catalog, progress))
        if photos and report.consistent:
            settle(_wrong_photos(catalog, photos, report, progress))
        report.notes += [*_unfinished(library, repair), *_kept_aside(library), *_waiting(catalog)]
        report.photos = catalog.counts().present + catalog.counts().unreachable
        report.vectors = int(database.value("SELECT count(*) FROM vectors"))
    return report


def _settle(report: CheckReport, repair: bool, problems: Iterable[Problem]) -> None:
    """Note the problems as they are found, each mended before the next is looked for."""
    for problem in problems:
        if repair:
            problem.mend()
        report.findings.append(Finding(problem.wrong, problem.remedy, repair))


def _wrong_catalog(library: Path) -> Iterator[Problem]:
    """A catalog that SQLite finds damaged, or that was set aside for it and has no successor yet."""
    catalog = library / CATALOG_NAME
    aside = [file for file in _aside(library) if ".damaged-" in file.name]
    if not catalog.exists() and not aside:
        raise LibraryError(f"there is no library at {library}: clipsight index ~/Pictures makes one")
    remedy = "what SQLite can still read of it is kept in a new one; the next clipsight index adds the rest"
    if catalog.exists() and (lines := damage(catalog)):
        more = f" and {len(lines) - 1} more such lines" if len(lines) > 1 else ""
        yield Problem(
            f"the catalog is damaged: {lines[0]}{more}", remedy, partial(_recover, catalog, library)
        )
    elif aside and (not catalog.exists() or _is_empty(catalog)):
        yield Problem(
            f"the catalog was damaged and set aside as {aside[-1].name}; nothing was indexed since",
            remedy,
            partial(_recover, aside[-1], library),
        )


def _recover(damaged: Path, library: Path) -> None:
    """Put a new catalog in place, with what can be read of the damaged one."""
    catalog = library / CATALOG_NAME
    with ExitStack() as stack:
        new = stack.enter_context(temporary(library))
        mine = stack.enter_context(held(catalog)) if catalog.exists() else None
        if damaged == catalog and mine is not None:
            recover(mine, new)
            put_in_place(new, catalog, "damaged")
        else:
            recover(stack.enter_context(closing(connect(damaged))), new)
            put_in_place(new, catalog, "empty")


def _is_empty(catalog: Path) -> bool:
    with closing(connect(catalog)) as connection:
        (empty,) = connection.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'photos')"
        ).fetchone()
        return bool(empty) or not connection.execute("SELECT 1 FROM photos LIMIT 1").fetchone()


def _wrong_index_file(library: Path, catalog: Catalog, progress: Progress) -> Iterator[Problem]:
    """A search file that would be used, though it does not hold what the catalog does."""
    from clipsight.store.vectors.index_file import IndexFile

    model = catalog.current_model()
    if model is None:
        return
    folder = library / "vectors"
    progress("index file", 0, None)
    opened = IndexFile(folder, catalog, model).open()
    if opened is None:
        return  # there is none, or it is stale: the next search makes it anew
    index, contents = opened
    if wrong := list(wrong_in_index(index, contents.last_id, catalog, model, progress)):
        yield Problem(
            f"the search file of {model.name} {', '.join(wrong)}",
            "removed; the next clipsight search makes it anew",
            partial(_remove_files, folder, model),
        )


def _remove_files(folder: Path, model: Model) -> None:
    for file in folder.glob(f"{model.fingerprint[:16]}.*"):
        file.unlink(missing_ok=True)


def _wrong_photos(
    catalog: Catalog, photos: int, report: CheckReport, progress: Progress
) -> Iterator[Problem]:
    from clipsight.maintenance.check_photos import Recheck
    from clipsight.models.encoder import Encoder
    from clipsight.search.model_selection import model_folder

    model = catalog.current_model()
    if model is None:
        return
    recheck = Recheck(catalog, model, Encoder(model_folder(model)), photos)
    yield from recheck.problems(progress)
    report.compared = recheck.compared
    if recheck.skipped:
        report.notes.append(
            f"{recheck.skipped:,} photos could not be compared: their files have changed or can't be read"
        )


def _unfinished(library: Path, repair: bool) -> Iterator[str]:
    """Files that killed processes left; with `repair` they are removed."""
    for file in chain(library.glob("*.tmp*"), library.glob("vectors/*.tmp*")):
        stat = file.stat()
        if time.time() - stat.st_mtime > _UNFINISHED_SECONDS:
            if repair:
                file.unlink(missing_ok=True)
            fate = "is removed" if repair else "can be removed (`repair=True`)"
            name = file.relative_to(library)
            yield f"{name} ({stat.st_size / 1e6:.0f} MB), left by a killed process, {fate}"


def _kept_aside(library: Path) -> Iterator[str]:
    for file in _aside(library):
        size = file.stat().st_size / 1e6
        yield f"{file.name} ({size:.0f} MB) is an earlier catalog: delete it when you miss nothing"


def _aside(library: Path) -> list[Path]:
    """Earlier catalogs that were moved aside, without their journals, the oldest first."""
    found = [file for file in library.glob(f"{CATALOG_NAME}.*-*") if not file.name.endswith(("-wal", "-shm"))]
    return sorted(found, key=lambda file: file.name.rsplit(".", 1)[1].split("-", 1)[1])


def _waiting(catalog: Catalog) -> Iterator[str]:
    model = catalog.current_model()
    waiting = 0 if model is None else catalog.count_unembedded(model)
    if waiting:
        yield f"{waiting:,} photos wait to be embedded: clipsight index"
