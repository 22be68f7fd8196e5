"""The command line: one file a subcommand, each loaded only when it is called."""

from parity.cli.main import main

__all__ = ["main"]
