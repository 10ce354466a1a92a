"""Folders that follow their directory at once.

The directory says over a connection that something changed, and a run asks what: everything about runs stays as it is.
"""

from contactsync.live.folders import LiveFolders
from contactsync.live.states import LIVE, LiveNow, LiveState

__all__ = ["LIVE", "LiveFolders", "LiveNow", "LiveState"]
