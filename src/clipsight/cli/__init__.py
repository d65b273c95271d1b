"""The command line: parse, call the library, print. No logic of its own.

One module a group of commands; `app` is where they meet. Heavy modules are imported inside the commands, so
that `clipsight --help` starts at once.
"""


def main() -> None:
    """Run the command line; a search that a running server can answer is not parsed here."""
    import sys

    from clipsight.web.client.local import try_server

    code = try_server(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    from clipsight.cli.app import main as run

    run()
