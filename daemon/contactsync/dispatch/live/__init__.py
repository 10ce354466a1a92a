"""Folders that follow their directory at once.

The directory says over a connection that something changed, and a run asks what: everything about runs stays as it is.
"""

from contactsync.dispatch.live.folders import LiveFolders
from contactsync.dispatch.live.status import LIVE, LiveSnapshot, LiveState

__all__ = ["LIVE", "LiveFolders", "LiveSnapshot", "LiveState"]
