"""The name of a daemon in the fleet, and the mark of its sessions in PostgreSQL."""

from __future__ import annotations

import re
import secrets
import socket
from dataclasses import dataclass, field

from contactsync.model import RunReport
from contactsync.sync.observer import Observer

DEAD_SECONDS = 6.0
"""After how many seconds without a sign of life others end a node's sessions and take over its runs."""
LEASE_SECONDS = DEAD_SECONDS - 0.5
"""After how many seconds without a sign of life a node itself stops to listen, so that others may."""
SILENT_SECONDS = 1.5
"""The same for a node whose session has ended, as after a kill."""
BEAT_SECONDS = 1.0
"""The interval of the signs of life."""

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class NodeLabel(Observer):
    """Notes in each report which node makes the run."""

    def __init__(self, name: str) -> None:
        self._name = name

    def started(self, report: RunReport) -> None:
        """A run has started."""
        report.node = self._name

    def finished(self, report: RunReport) -> None:
        """A run has ended, which may be an undo, whose start is not observed."""
        report.node = self._name


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node's name, and a token that no other process has."""

    name: str
    token: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def application_name(self) -> str:
        """The application_name of its sessions that write, by which others can end them."""
        return application_name(self.name, self.token)


def application_name(name: str, token: str) -> str:
    """The application_name of the sessions of a process. The default of `sync_runs.node` reads the name out of it."""
    return f"contactsync {name} {token}"


def default_name() -> str:
    """The host's name, as far as it fits."""
    return _UNFIT.sub("-", socket.gethostname()).strip("-")[:40] or "node"


def queue_of(name: str = "") -> str:
    """The queue of the jobs that only this node takes; without a name, of those for all nodes."""
    return f"runs@{name}" if name else "runs"
