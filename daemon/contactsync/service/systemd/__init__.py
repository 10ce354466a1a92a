"""systemd: the notifications of a service of Type=notify, its watchdog, and the line of `systemctl status`."""

from contactsync.service.systemd.manager import Part, ServiceManager, troubles
from contactsync.service.systemd.status import FolderHealth, status_line

__all__ = ["FolderHealth", "Part", "ServiceManager", "status_line", "troubles"]
