"""What settings.toml says about runs, and looks into directories."""

from __future__ import annotations

from dataclasses import dataclass, field

from contactsync.credentials.sealing import References
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.query.address import ServerAddress
from contactsync.settings.schema import MappingLimits
from contactsync.sync.guard import GuardLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What settings.toml says about runs; times in seconds, sizes in bytes."""

    connect_timeout: float = 10
    receive_timeout: float = 60
    deadline: float = 1800
    full_seconds: float = 86_400
    auto_live_folders: int = 100
    page_size: int = 1000
    max_message_bytes: int = 64 * 1024 * 1024
    retry_attempts: int = 4
    retry_base: float = 1
    retry_max: float = 30
    name_servers: tuple[ServerAddress, ...] = ()
    map_limits: MappingLimits = field(default_factory=MappingLimits)
    guard: GuardLimits = field(default_factory=GuardLimits)
    references: References = field(default_factory=References)

    def read_limits(self, deadline: Deadline) -> ReadLimits:
        """The limits of reading from a directory until `deadline`."""
        return ReadLimits(deadline, self.receive_timeout, self.max_message_bytes)
