"""The command `clipsight serve`."""

import io
import os
import sys
import threading
from collections.abc import Mapping
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
    root_path: Annotated[
        str, typer.Option(help="Path prefix below which a proxy serves this server, such as /photos.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser, if this is a desktop.")] = True,
    watch: Annotated[
        bool, typer.Option("--watch", help="Also index new and changed photos, as `clipsight watch` does.")
    ] = False,
    library: LibraryOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Serve a web page and an HTTP API, until Ctrl-C.

    For searching, classifying and explaining.
    """
    # OpenBLAS threads would busy-wait between small matrix products, on the cores that requests need.
    # The variable has to be set before NumPy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from clipsight.core.extras import require

    require("web", "cachetools", "fastapi", "prometheus_client", "segno", "uvicorn")
    if watch:
        require("watch", "watchfiles")
    from clipsight.cli.messages import note
    from clipsight.web.server.run import is_loopback, is_unspecified, url_for_devices
    from clipsight.web.server.run import serve as run

    def link_to(url: str) -> str:
        return f"{url}/?token={token}" if token and page else url

    def on_ready(url: str) -> None:
        is_terminal = sys.stdout.isatty()
        if not is_loopback(host):
            note("other machines can connect, and nothing is encrypted: put a TLS proxy in front of it")
        print(f"clipsight is at {link_to(url)}", flush=True)
        device_url = url_for_devices(url) if is_unspecified(host) else None if is_loopback(host) else url
        if device_url is not None:
            if device_url != url:
                print(f"on other devices: {link_to(device_url)}", flush=True)
            if is_terminal and page:
                print_qr_code(link_to(device_url))
        if is_terminal:
            note("press Ctrl-C to stop")
        if browser and page and is_terminal and is_desktop(os.environ):
            # Without the token, which other users of this machine could read among the browser's arguments.
            open_browser(f"{url}/")

    with suppress(Interrupted):  # Ctrl-C is the normal end; running requests have been answered
        run(
            library=library,
            roots=roots if roots else [Path(os.path.expanduser("~"))],
            host=host,
            port=port,
            token=token,
            allowed_hosts=allow_host or (),
            device=device,
            threads=threads,
            page=page,
            root_path=root_path,
            watch=watch,
            on_ready=on_ready,
        )


def print_qr_code(text: str) -> None:
    """Print a QR code in block characters, white on black; nothing if stdout's encoding lacks them."""
    import segno

    out = io.StringIO()
    segno.make_qr(text).terminal(out, compact=True)
    lines = out.getvalue().splitlines()
    if not os.environ.get("NO_COLOR"):
        lines = [f"\33[97;40m{line}\33[0m" for line in lines]
    with suppress(UnicodeEncodeError):
        print("\n".join(lines).encode(sys.stdout.encoding).decode(sys.stdout.encoding), flush=True)


def is_desktop(environment: Mapping[str, str]) -> bool:
    """True if the user sees a browser opened here: in a graphical session, not over SSH."""
    if environment.get("SSH_CONNECTION"):
        return False
    is_graphical = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or bool(is_graphical)


def open_browser(url: str) -> None:
    """Open the URL in the user's browser, without waiting for it."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
