"""Run the command line as ``python -m avbench``."""

from avbench.cli import main

main()
