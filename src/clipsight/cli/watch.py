"""`clipsight watch`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import (
    DeviceOption,
    Folders,
    Interrupted,
    LibraryOption,
    ModelOption,
    ThreadsOption,
    open_library,
)
from clipsight.render.stdout import print_line


def watch(
    folders: Folders = None,
    settle: Annotated[
        float, typer.Option(min=0.01, help="Seconds that a file must have been as it is before it is read.")
    ] = 2.0,
    rescan: Annotated[
        float, typer.Option(min=0.01, help="Seconds between two looks through folders on network disks.")
    ] = 60.0,
    unit: Annotated[
        bool,
        typer.Option("--unit", help="Print a service of systemd (Linux) or launchd (macOS) that does this."),
    ] = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Keep the index up to date, until Ctrl-C.

    New and changed photos in FOLDERS are indexed seconds after they are written.
    """
    from clipsight.cli.messages import note
    from clipsight.core.errors import LibraryError
    from clipsight.core.extras import require

    places = [Path(os.path.abspath(os.path.expanduser(folder))) for folder in folders or []]
    if unit:
        from clipsight.indexing.watch_unit import watch_unit

        print(watch_unit(places, library=library, settle=settle, rescan=rescan), end="")
        return
    require("watch", "watchfiles", error=LibraryError)
    with open_library(library, model, device, threads) as photos:
        shown: dict[str, tuple[str, ...]] = {}
        reports = photos.watch(*places, settle=settle, rescan=rescan)
        try:
            for report in reports:
                if report.changed or report.folder not in shown:
                    print_line(str(report))
                for problem in report.problems:
                    if problem not in shown.get(report.folder, ()):
                        note(f"can't read {problem}; its photos are kept")
                shown[report.folder] = report.problems
        except (Interrupted, KeyboardInterrupt):  # the latter by watchfiles; what is indexed is kept
            note("stopped watching")
