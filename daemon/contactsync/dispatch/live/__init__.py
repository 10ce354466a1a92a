"""Live folders, which follow changes in their directory at once.

A connection to the directory reports that something changed, and a normal run reads what changed.
"""

from contactsync.dispatch.live.folders import LiveFolders
from contactsync.dispatch.live.status import LIVE, LiveSnapshot, LiveState

__all__ = ["LIVE", "LiveFolders", "LiveSnapshot", "LiveState"]
