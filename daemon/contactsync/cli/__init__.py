"""The command line; `main` is the console script `contactsync`."""

from contactsync.cli.app import main

__all__ = ["main"]
