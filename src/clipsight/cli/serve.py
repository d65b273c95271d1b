"""`clipsight serve`."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import DeviceOption, Interrupted, LibraryOption, ThreadsOption


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's own demands --token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")
    ] = 7860,
    token: Annotated[
        str | None,
        typer.Option(envvar="CLIPSIGHT_TOKEN", help="What whoever asks must know, 16 characters or more."),
    ] = None,
    roots: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder in which folders to index may be chosen; repeatable (default: your home)."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that the server also goes by, such as a proxy's; repeatable."),
    ] = None,
    page: Annotated[bool, typer.Option(help="Serve the web page beside the API.")] = True,
    library: LibraryOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Open a web page, and an HTTP API, that search, classify and explain; until Ctrl-C."""
    # NumPy's threads would spin between products far too small for them, on the cores that requests need. It
    # reads this when it is imported, which nothing has done yet.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from clipsight.web.server.extra import check_installed

    check_installed(page=page)
    from clipsight.cli.messages import note
    from clipsight.web.server.run import is_loopback
    from clipsight.web.server.run import serve as run

    def on_ready(url: str) -> None:
        if not is_loopback(host):
            note("other machines can reach this, and nothing is encrypted: put a TLS proxy before it")
        link = f"{url}/?token={token}" if token and page else url
        print(f"clipsight is at {link}", flush=True)
        if sys.stdout.isatty():
            note("Ctrl-C ends it")

    with suppress(Interrupted):  # how it ends, once what was begun has been answered
        run(
            library=library,
            roots=roots if roots else [Path.home()],
            host=host,
            port=port,
            token=token,
            allowed_hosts=allow_host or (),
            device=device,
            threads=threads,
            page=page,
            on_ready=on_ready,
        )
