"""The command line: parse arguments, call the library, print results.

One module per group of commands; `app` combines them. Heavy modules are imported inside the commands, so that
`clipsight --help` starts fast.
"""


def main() -> None:
    """Run the command line; a search is first sent to a running server, if there is one."""
    import sys

    from clipsight.web.client.local import try_server

    code = try_server(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    from clipsight.cli.app import main as run

    run()
