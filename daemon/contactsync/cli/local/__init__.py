"""The API of a command without a daemon: the same paths and documents, by the functions of operations/.

No rule of the product is here.
"""

from contactsync.cli.local.api import LocalApi

__all__ = ["LocalApi"]
