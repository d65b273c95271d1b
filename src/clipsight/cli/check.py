"""Command `clipsight check`."""

from typing import Annotated

import typer

from clipsight.cli.options import LibraryOption


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair problems; photos are never changed.")
    ] = False,
    photos: Annotated[
        int,
        typer.Option(
            "--photos", min=0, metavar="N", help="Also embed N photos again and compare their vectors."
        ),
    ] = 0,
    library: LibraryOption = None,
) -> None:
    """Check the index: database, vectors and search files.

    The exit code is 1 if there is a problem.
    """
    from clipsight.cli.messages import note, with_flags
    from clipsight.cli.progress import stage_bars
    from clipsight.core import paths
    from clipsight.maintenance.check import check as check_library

    folder = library.expanduser() if library else paths.default_library()
    with stage_bars("checking ") as progress:
        report = check_library(folder, photos=photos, repair=repair, progress=progress)
    for finding in report.findings:
        print(with_flags(str(finding)))
    print(report)
    for line in report.notes:
        note(with_flags(line))
    if not report.consistent:
        raise typer.Exit(1)
