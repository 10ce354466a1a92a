"""The command line: options, prompts and output; `main` is the console script `contactsync`.

The rules of the product are in operations/.
"""

from contactsync.cli.app import main

__all__ = ["main"]
