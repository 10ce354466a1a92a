"""The settings of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.query.address import ServerAddress
from contactsync.settings.schema import Guard, MappingLimits

if TYPE_CHECKING:
    from contactsync.model import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The part of settings.toml that runs use; times in seconds, sizes in bytes."""

    connect_timeout: float
    receive_timeout: float
    deadline: float
    full_seconds: float
    auto_live_folders: int
    page_size: int
    max_message_bytes: int
    max_search_bytes: int
    max_entries: int
    retry_attempts: int
    retry_base: float
    retry_max: float
    name_servers: tuple[ServerAddress, ...]
    map_limits: MappingLimits
    guard: Guard

    def page_size_of(self, definition: Definition) -> int:
        """The entries in one page for a definition; 0 for no paging."""
        return self.page_size if definition.page_size is None else definition.page_size

    def read_limits(self, deadline: Deadline) -> ReadLimits:
        """The limits of what a run reads until this deadline."""
        return ReadLimits(
            deadline, self.receive_timeout, self.max_message_bytes, self.max_search_bytes, self.max_entries
        )
