"""The command `clipsight serve`."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import DeviceOption, Interrupted, LibraryOption, ThreadsOption


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that other machines can reach requires --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free port.")] = 7860,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CLIPSIGHT_TOKEN", help="Secret that clients have to send, 16 characters or more."
        ),
    ] = None,
    roots: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder that may be indexed, with everything below it; repeatable (default: your home)."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Additional host name of the server, such as that of a proxy; repeatable."),
    ] = None,
    page: Annotated[bool, typer.Option(help="Serve the web page beside the API.")] = True,
    library: LibraryOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Serve a web page and an HTTP API, until Ctrl-C.

    For searching, classifying and explaining.
    """
    # OpenBLAS threads would spin between products that are too small for them, on the cores that requests
    # need. NumPy reads this when it is imported, which has not happened yet.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from clipsight.core.extras import require

    require("web", "cachetools", "fastapi", "prometheus_client", "uvicorn", *(["gradio"] if page else []))
    from clipsight.cli.messages import note
    from clipsight.web.server.run import is_loopback
    from clipsight.web.server.run import serve as run

    def on_ready(url: str) -> None:
        if not is_loopback(host):
            note("other machines can connect, and nothing is encrypted: put a TLS proxy in front of it")
        link = f"{url}/?token={token}" if token and page else url
        print(f"clipsight is at {link}", flush=True)
        if sys.stdout.isatty():
            note("press Ctrl-C to stop")

    with suppress(Interrupted):  # the normal end, after running requests have been answered
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
