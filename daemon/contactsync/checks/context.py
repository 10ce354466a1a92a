"""What the steps of a check share: the definition, what the earlier steps found, and the connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.session import Session
from contactsync.ldap.connection.target import Target
from contactsync.ldap.query.query import ServerAddress
from contactsync.sync.definition import connect_options

if TYPE_CHECKING:
    from contactsync.checks.sample import Sample
    from contactsync.errors import DirectoryError
    from contactsync.ldap.rootdse import RootDse
    from contactsync.model import Definition, RunReport
    from contactsync.sync.definition import Resolved, Source
    from contactsync.sync.options import RunOptions

T = TypeVar("T")
Password = Callable[[], str | None]
"""Fetches the bind password when it is needed; raises SecretError."""
Preview = Callable[[], "RunReport"]
"""Makes the plan that a run would make now, and takes it back; raises ContactsyncError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """How long a check may take at most: seconds of each step, and of what it reads; entries and contacts."""

    step_seconds: float = 60
    count_seconds: float = 5
    count_entries: int = 200_000
    page_entries: int = 25
    shown_contacts: int = 5


@dataclass(frozen=True, slots=True)
class Counted:
    """How many entries and references the search gave; not `complete` when it ended before that was all.

    `stopped_by` is the server's word when it was the server that ended it.
    """

    entries: int
    references: int
    complete: bool
    stopped_by: str | None = None


@dataclass
class CheckContext:
    """One check on its way; every step leaves here what later ones build on. `stack` closes the connections."""

    definition: Definition
    password: Password
    options: RunOptions
    limits: CheckLimits
    preview: Preview | None
    stack: ExitStack
    resolved: Resolved | None = None
    broken: set[str] = field(default_factory=set)
    """Fields of the definition that make no sense, and are left out from here on."""
    servers: tuple[ServerAddress, ...] = ()
    targets: list[list[Target]] = field(default_factory=list)
    """The addresses of each server that has any; after the TCP step those that answer."""
    target: Target | None = None
    session: Session | None = None
    root_dse_error: DirectoryError | None = None
    source: Source | None = None
    counted: Counted | None = None
    sample: Sample | None = None

    @property
    def known(self) -> Resolved:
        """The resolved definition, for steps that need the first."""
        return _there(self.resolved)

    @property
    def bound(self) -> Session:
        """The session, for steps that need the bind."""
        return _there(self.session)

    @property
    def asked(self) -> Source:
        """What is asked of the directory, for steps that need the base."""
        return _there(self.source)

    @property
    def chosen(self) -> Target:
        """The server to go on with, for steps that need TLS."""
        return _there(self.target)

    @property
    def root_dse(self) -> RootDse:
        """What the server says about itself, for steps that need the bind."""
        return self.bound.root_dse

    def deadline(self) -> Deadline:
        """The time of a step, from now."""
        return Deadline(self.limits.step_seconds)

    def read_limits(self) -> ReadLimits:
        """The limits of one search of a step, from now."""
        limits = self.options.read_limits(self.deadline())
        return replace(limits, receive_timeout=min(limits.receive_timeout, self.limits.step_seconds))

    def connect_options(self, *, password: str | None = None) -> ConnectOptions:
        """As a run would connect."""
        return connect_options(
            self.known,
            password,
            self.servers,
            connect_timeout=self.options.connect_timeout,
            receive_timeout=min(self.options.receive_timeout, self.limits.step_seconds),
            name_servers=self.options.name_servers,
        )


def _there(value: T | None) -> T:
    """What an earlier step left; the walk sees to it that it did."""
    if value is None:
        message = "a step ran without the one that it needs"
        raise AssertionError(message)
    return value
