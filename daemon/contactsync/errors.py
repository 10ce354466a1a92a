"""Every error that contactsync raises on purpose, under one root.

A message is one sentence that says what happened; `hint` is one that says what to do next. Both are shown to
people and written to the log, so neither ever carries a secret. `code` is stable: scripts and alerts match on it.
"""

from __future__ import annotations

from typing import ClassVar


class ContactsyncError(Exception):
    """The root: what happened (`message`), what to do about it (`hint`), and a stable `code`."""

    code: str = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    """True when the same attempt may succeed a little later, with nobody doing anything."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(ContactsyncError):
    """What was typed cannot be carried out: an unknown folder, a name that is taken, a missing option."""

    code = "usage"
    exit_code = 64


class NotFound(UsageError):
    """There is no folder, definition, run or contact like that."""

    code = "not_found"


class SettingsError(ContactsyncError):
    """settings.toml or its environment variables are wrong; the message lists every problem at once."""

    code = "settings"
    exit_code = 78


class SecretError(ContactsyncError):
    """A password cannot be sealed, opened or fetched by its reference."""

    code = "secret"


class DefinitionError(ContactsyncError):
    """A sync definition makes no sense; it becomes `invalid` until someone edits it."""

    code = "definition"
    exit_code = 64


class QueryError(DefinitionError):
    """The LDAP query field is in none of the accepted forms."""

    code = "definition.query"


class MappingError(DefinitionError):
    """The mapping from attributes to contact fields is not valid."""

    code = "definition.mapping"


class ScheduleError(DefinitionError):
    """The schedule or its time zone is not understood."""

    code = "definition.schedule"


class DirectoryError(ContactsyncError):
    """The directory did not do what was asked."""

    code = "directory"


class ServerUnavailable(DirectoryError):
    """No connection, or one that broke: refused, reset, closed, unreachable, `unavailable` (52)."""

    code = "directory.unavailable"
    retryable = True


class ServerTimeout(DirectoryError):
    """The server did not answer within the time that a single answer may take."""

    code = "directory.timeout"
    retryable = True


class ServerBusy(DirectoryError):
    """The server answered `busy` (51)."""

    code = "directory.busy"
    retryable = True


class ProtocolViolation(DirectoryError):
    """The server sent octets that are not LDAP (RFC 4511), or more of them than the limit allows."""

    code = "directory.protocol"
    retryable = True


class ServerNotFound(DirectoryError):
    """DNS names no server, or does not know the one that was named."""

    code = "directory.dns"


class CredentialsRefused(DirectoryError):
    """The server refused the user or the password (`invalidCredentials`, 49); trying again may lock the account.

    `data` is Active Directory's reason, as its documentation names it (`52e`); it ends the code:
    `directory.credentials.52e`.
    """

    code = "directory.credentials"

    def __init__(self, message: str, *, hint: str = "", data: str = "") -> None:
        super().__init__(message, hint=hint)
        if data:
            self.code = f"{self.code}.{data}"


class AccessRefused(DirectoryError):
    """The server wants something else first: a stronger bind, TLS, or more rights (RFC 4511, codes 8, 13, 50)."""

    code = "directory.access"


class CertificateRefused(DirectoryError):
    """The server's certificate did not hold: another name, expired, an unknown issuer."""

    code = "directory.certificate"
    unknown_issuer = False
    """True when it would hold if its authority were trusted."""


class BaseNotFound(DirectoryError):
    """The search base does not exist (`noSuchObject`, 32), or the server offers none to choose."""

    code = "directory.base"


class FilterRefused(DirectoryError):
    """The search filter does not parse, here or at the server."""

    code = "directory.filter"


class IncompleteSnapshot(DirectoryError):
    """The search ended without being complete (a limit, a lost page); nothing may be concluded from it."""

    code = "directory.incomplete"


class DeadlineExceeded(DirectoryError):
    """The run took longer than its deadline allows."""

    code = "run.deadline"


class RunCancelled(ContactsyncError):
    """The run was given up on request, before anything was applied."""

    code = "run.cancelled"


class DefinitionLocked(ContactsyncError):
    """The directory refused the definition's user or password; only a person may have it tried again."""

    code = "run.locked"


class AlreadyRunning(ContactsyncError):
    """Another process is running this definition now."""

    code = "run.busy"


class UndoRefused(ContactsyncError):
    """What a run did cannot be taken back; the message names contacts and reasons."""

    code = "undo.refused"


class DatabaseError(ContactsyncError):
    """PostgreSQL refused a statement."""

    code = "database"
    exit_code = 69


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL cannot be reached, or the connection to it broke."""

    code = "database.unavailable"


class DatabaseConflict(DatabaseError):
    """Somebody else wrote the same rows at the same moment (SQLSTATE 40001, 40P01)."""

    code = "database.conflict"
    retryable = True


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL cannot be set up or started."""

    code = "database.embedded"


class ControlError(ContactsyncError):
    """The control socket cannot be used."""

    code = "control"


class ControlSocketTaken(ControlError):
    """Another process serves the control socket."""

    code = "control.taken"
