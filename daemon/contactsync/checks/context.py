"""What the steps of a check share: the definition, the results of earlier steps, and the connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from contactsync.checks.searches import Answer
from contactsync.errors import DirectoryError
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.session import Session
from contactsync.ldap.connection.target import Target
from contactsync.ldap.query.address import ServerAddress
from contactsync.ldap.rootdse import RootDse
from contactsync.model import Definition, MappedEntry, RejectedEntry, RunReport
from contactsync.sync.definition import Resolved, Source, connect_options
from contactsync.sync.options import RunOptions

Password = Callable[[], str | None]
"""Fetches the bind password when it is needed; raises SecretError."""
Preview = Callable[[], RunReport]
"""Makes the plan of a run without applying it; raises ContactsyncError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """The most seconds of a step and of counting, and the most entries and contacts to read and show."""

    step_seconds: float = 60
    count_seconds: float = 5
    count_entries: int = 200_000
    page_entries: int = 25
    shown_contacts: int = 5


@dataclass(frozen=True, slots=True)
class Counted:
    """The entries and references of the search; not `complete` if the count was stopped before the end.

    `stopped_by` is the server's result, if the server stopped it.
    """

    entries: int
    references: int
    complete: bool
    stopped_by: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The first pages of the search, with their entries as a run maps them."""

    pages: tuple[Answer, ...]
    mapped: tuple[MappedEntry, ...]
    rejected: tuple[RejectedEntry, ...]

    @property
    def number(self) -> int:
        """How many entries there are."""
        return len(self.mapped) + len(self.rejected)


@dataclass
class CheckContext:
    """A check in progress. Each step sets what later steps need; `stack` closes the connections."""

    definition: Definition
    password: Password
    options: RunOptions
    limits: CheckLimits
    preview: Preview | None
    stack: ExitStack
    resolved: Resolved = field(init=False)
    invalid_fields: set[str] = field(default_factory=set)
    """Fields of the definition that are not valid; later steps do without them."""
    servers: tuple[ServerAddress, ...] = ()
    targets: list[list[Target]] = field(default_factory=list)
    """The addresses of each server that has any; after the TCP step those that answer."""
    target: Target = field(init=False)
    session: Session = field(init=False)
    root_dse_error: DirectoryError | None = None
    source: Source = field(init=False)
    counted: Counted = field(init=False)
    sample: Sample | None = None

    @property
    def root_dse(self) -> RootDse:
        """The server's root DSE."""
        return self.session.root_dse

    def deadline(self) -> Deadline:
        """The deadline of a step that starts now."""
        return Deadline(self.limits.step_seconds)

    def read_limits(self) -> ReadLimits:
        """The limits of a search that starts now."""
        limits = self.options.read_limits(self.deadline())
        return replace(limits, receive_timeout=min(limits.receive_timeout, self.limits.step_seconds))

    def connect_options(self, *, password: str | None = None) -> ConnectOptions:
        """The options that a run connects with."""
        timeout = min(self.options.receive_timeout, self.limits.step_seconds)
        return connect_options(self.resolved, password, self.servers, replace(self.options, receive_timeout=timeout))
