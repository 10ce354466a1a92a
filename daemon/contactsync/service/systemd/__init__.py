"""systemd: the notifications of a service of Type=notify, its watchdog, and the line of `systemctl status`.

The parts of the daemon are in service/daemon.py.
"""

from contactsync.service.systemd.manager import Part, ServiceManager, troubles
from contactsync.service.systemd.status import FolderHealth, status_line

__all__ = ["FolderHealth", "Part", "ServiceManager", "status_line", "troubles"]
