"""`python -m clipsight`: the command line."""

from clipsight.cli import main

main()
