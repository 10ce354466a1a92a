"""The service manager (systemd): what it is told, and whether it may go on trusting this process."""

from contactsync.service.systemd.manager import ServiceManager
from contactsync.service.systemd.status import FolderHealth, status_line
from contactsync.service.systemd.watchdog import Part, troubles

__all__ = ["FolderHealth", "Part", "ServiceManager", "status_line", "troubles"]
