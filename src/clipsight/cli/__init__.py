"""The command line: parse arguments, call the library, print results.

One module per group of commands; `app` combines them. Heavy modules are imported inside the commands, so that
`clipsight --help` starts fast.
"""


def main() -> None:
    """Run the command line; a search is first sent to a running server, if there is one."""
    import io
    import os
    import sys

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every locale has every letter of a file name
    from clipsight.web.client.local import try_server

    try:
        code = try_server(sys.argv[1:])
    except OSError as error:
        from clipsight.cli.messages import print_os_error

        os._exit(print_os_error(error))  # sys.exit would write the rest of the output once more
    if code is not None:
        sys.exit(code)
    from clipsight.cli.app import main as run

    run()
