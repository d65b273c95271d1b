"""The command line: parse, call the library, print. No logic of its own.

One module a group of commands; `app` is where they meet. Heavy modules are imported inside the commands, so
that `clipsight --help` starts at once.
"""

from clipsight.cli.app import main as main
