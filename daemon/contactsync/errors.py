"""All errors of contactsync, under one root.

A message is one sentence that says what happened; `hint` is one that says what to do next. Both are shown to users and
written to the log, so neither contains a secret. `code` is stable: scripts and alerts match on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar


class ContactsyncError(Exception):
    """The root of all errors: `message`, `hint` and a stable `code`."""

    code: str = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    """Whether the same attempt may succeed a little later without any action."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(ContactsyncError):
    """The input cannot be carried out: a name that is taken, a missing option."""

    code = "usage"
    exit_code = 64


class NotFound(UsageError):
    """The folder, definition, run or contact does not exist."""

    code = "not_found"


class TokenRefused(ContactsyncError):
    """There is no valid token in the request."""

    code = "token.refused"


class TokenInUrl(ContactsyncError):
    """There is a token in the URL, where proxies and programs log it."""

    code = "token.in_url"


class RequestsLimited(ContactsyncError):
    """A token made too many requests, or an address too many without a valid token."""

    code = "token.rate"

    def __init__(self, message: str, *, seconds: int) -> None:
        super().__init__(message, hint=f"Try again in {seconds} s.")
        self.seconds = seconds


class Forbidden(ContactsyncError):
    """The client may not do this."""

    code = "token.forbidden"


class RightMissing(Forbidden):
    """The token lacks a right."""

    code = "token.right"


class OutOfScope(Forbidden):
    """The token is for other folders."""

    code = "token.scope"


class LocalField(Forbidden):
    """The field is set on the daemon's machine only."""

    code = "token.field"


class SocketOnly(Forbidden):
    """No token may do this: it is for users of the control socket."""

    code = "token.socket_only"


class ConsoleRefused(Forbidden):
    """The socket of the web console is for the console's user only."""

    code = "web.peer"


class RoleMissing(Forbidden):
    """The person at the web console may see this, but not do it."""

    code = "web.role"


class FieldsNotPermitted(Forbidden):
    """The person at the web console may not set some fields, or not to these values."""

    code = "web.field"
    fields: tuple[str, ...] = ()

    def __init__(self, message: str, *, hint: str = "", fields: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.fields = tuple(fields)


class PasswordNotTyped(Forbidden):
    """The person at the web console has not given the password that a search of the directory needs."""

    code = "web.password"


class RequestedTooOften(RequestsLimited):
    """The person at the web console has requested a run of this folder less than a minute ago."""

    code = "web.rate"


class ActorMissing(ContactsyncError):
    """A request of the web console does not say validly who it is for."""

    code = "web.actor"


class AdministratorsOnly(Forbidden):
    """The page of the web console is for administrators."""

    code = "web.administrators"


class SignInCodeUnknown(ContactsyncError):
    """The code of a sign-in link is unknown, was used or has expired."""

    code = "web.code"


class SettingsError(ContactsyncError):
    """settings.toml or an environment variable is not valid. The message lists all `problems`."""

    code = "settings"
    exit_code = 78

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems) or (message,)


class NodeKeyDiffers(ContactsyncError):
    """The other daemons of the fleet have another key for passwords."""

    code = "fleet.key"
    exit_code = 78


class NodeClockDiffers(ContactsyncError):
    """The clock of this machine differs from PostgreSQL's by more than a minute."""

    code = "fleet.clock"
    exit_code = 78


class NodeAlive(ContactsyncError):
    """The node gives signs of life, and is not to be forgotten."""

    code = "fleet.alive"


class NodeNameTaken(ContactsyncError):
    """A living daemon of the fleet has the same name."""

    code = "fleet.name"
    exit_code = 78


class SecretError(ContactsyncError):
    """A password cannot be sealed, unsealed or read by its reference."""

    code = "secret"


class DefinitionError(ContactsyncError):
    """A definition is not valid. Its state is `invalid` until it is edited."""

    code = "definition"
    exit_code = 64


class QueryError(DefinitionError):
    """The query has none of the accepted forms."""

    code = "definition.query"


class MappingError(DefinitionError):
    """The mapping from attributes to contact fields is not valid."""

    code = "definition.mapping"

    def __init__(self, message: str, *, hint: str = "", part: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.part = tuple(part)
        """The keys that lead to what is not valid, such as ("fields", "emails"); none if it is no single key."""
        self.others: tuple[MappingError, ...] = ()
        """What else is not valid in the same mapping."""


class ScheduleError(DefinitionError):
    """The schedule or its time zone is not valid."""

    code = "definition.schedule"


class DeclarationError(UsageError):
    """A file of definitions is not valid. The message lists all problems."""

    code = "definition.file"


class PlanOutdated(ContactsyncError):
    """The definitions were edited after the plan was made, so that nothing was changed."""

    code = "definition.plan_outdated"


class OutputError(ContactsyncError):
    """The output of a command cannot be written."""

    code = "output"


class DirectoryError(ContactsyncError):
    """A request to the directory failed."""

    code = "directory"


class ServerUnavailable(DirectoryError):
    """No connection, or a broken one: refused, reset, closed, unreachable, `unavailable` (52)."""

    code = "directory.unavailable"
    retryable = True


class ServerTimeout(DirectoryError):
    """The server did not answer within the time limit for one answer."""

    code = "directory.timeout"
    retryable = True


class ServerBusy(DirectoryError):
    """The server answered `busy` (51)."""

    code = "directory.busy"
    retryable = True


class ServerNotSynchronized(DirectoryError):
    """A domain controller has not finished its replication since it was made or started (`isSynchronized` is FALSE)."""

    code = "directory.not_synchronized"
    retryable = True


class NoUsableEntries(DirectoryError):
    """The search found entries, and no contact can be made of any."""

    code = "directory.unusable"


class ProtocolViolation(DirectoryError):
    """The server sent octets that are not LDAP (RFC 4511), or more than the limit."""

    code = "directory.protocol"
    retryable = True


class ServerNotFound(DirectoryError):
    """DNS has no server for the domain, or no address for the server."""

    code = "directory.dns"


class CredentialsRefused(DirectoryError):
    """The server refused the user or the password (`invalidCredentials`, 49). A retry may lock the account.

    `data` is Active Directory's code for the reason (`52e`). It is appended to the code: `directory.credentials.52e`.
    `result` is the result code of the bind.
    """

    code = "directory.credentials"

    def __init__(self, message: str, *, hint: str = "", data: str = "", result: int = 49) -> None:
        super().__init__(message, hint=hint)
        self.data = data
        self.result = result
        if data:
            self.code = f"{self.code}.{data}"


class AccessRefused(DirectoryError):
    """The server requires a stronger bind, TLS or more rights (RFC 4511, result codes 8, 13 and 50)."""

    code = "directory.access"


class CertificateRefused(DirectoryError):
    """The server's certificate is not valid: another name, expired, an unknown issuer."""

    code = "directory.certificate"
    unknown_issuer = False
    """Whether the only problem is that its authority is not trusted."""


class BaseNotFound(DirectoryError):
    """The search base does not exist (`noSuchObject`, 32), or the server publishes none."""

    code = "directory.base"


class FilterRefused(DirectoryError):
    """The search filter is not valid, here or for the server."""

    code = "directory.filter"


class IncompleteSnapshot(DirectoryError):
    """The search ended before it was complete (a limit, a lost page), so its result must not be applied."""

    code = "directory.incomplete"


class DeadlineExceeded(DirectoryError):
    """The run exceeded its deadline."""

    code = "run.deadline"


class CursorVoid(DirectoryError):
    """The changes since the last run are not known; only a full search can bring the folder in sync."""

    code = "directory.cursor"


class NotLive(DirectoryError):
    """The server does not report changes, or not well enough for the folder's mode."""

    code = "directory.silent"


class RunCancelled(ContactsyncError):
    """The run was cancelled before it applied anything."""

    code = "run.cancelled"
    exit_code = 130


class DefinitionLocked(ContactsyncError):
    """The directory refused the definition's user or password; only a request by a user tries it again."""

    code = "run.locked"


class AlreadyRunning(ContactsyncError):
    """Another process runs this definition now."""

    code = "run.busy"


class RunWithdrawn(ContactsyncError):
    """The request was withdrawn before the run started."""

    code = "run.withdrawn"


class UndoRefused(ContactsyncError):
    """A run cannot be undone. The message lists contacts and reasons."""

    code = "undo.refused"


class DatabaseError(ContactsyncError):
    """PostgreSQL refused a statement."""

    code = "database"
    exit_code = 69


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL cannot be reached, or the connection to it broke."""

    code = "database.unavailable"


class DatabaseConflict(DatabaseError):
    """Another session wrote the same rows at the same time, or holds a lock on them (SQLSTATE 40001, 40P01, 55P03)."""

    code = "database.conflict"
    retryable = True


class DatabaseSlow(DatabaseError):
    """PostgreSQL took longer than a request that only reads may take, or an administrator ended that request."""

    code = "database.slow"


class DatabaseForbidden(DatabaseError):
    """The role in PostgreSQL has no right to do this."""

    code = "database.forbidden"


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL cannot be created, started or stopped."""

    code = "database.embedded"


class EmbeddedServerForbidden(EmbeddedServerError):
    """The embedded PostgreSQL belongs to another user."""

    code = "database.embedded.forbidden"
    exit_code = 77


class ControlError(ContactsyncError):
    """The control socket cannot be used."""

    code = "control"


class ControlSocketTaken(ControlError):
    """Another process serves the control socket."""

    code = "control.taken"


class ControlForbidden(ControlError):
    """The user has no permission on the control socket."""

    code = "control.forbidden"
    exit_code = 77


class OtherVersion(ControlError):
    """The daemon is of another version than the command."""

    code = "control.version"


class NeedsDaemon(ControlError):
    """Only a running daemon can do this."""

    code = "control.daemon"


class NotReady(ContactsyncError):
    """The daemon cannot do its work."""

    code = "not_ready"


class Stopping(ContactsyncError):
    """The daemon is stopping."""

    code = "stopping"


class TooMany(ContactsyncError):
    """The limit of concurrent requests of this kind is reached."""

    code = "too_many"


class DemoError(ContactsyncError):
    """The demo found something else than it expected."""

    code = "demo.failed"

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"The demo expected {expected}; it found {found}.")


INTERNAL, INTERRUPTED = "internal", "run.interrupted"

_WITHOUT_CLASS = {
    ContactsyncError.code: "Another error. The message says which.",
    INTERNAL: "An unexpected error ended the run. The log has the details.",
    INTERRUPTED: "The process that made the run ended before the run did.",
    "malformed_request": "A part of a request to the API is missing or has another type. `errors` names each.",
    "bad_request": "The request is not HTTP.",
    "method_not_allowed": "The path does not have this method.",
    "request_entity_too_large": "The body of the request is too large.",
    "internal_server_error": "An unexpected error ended the request. The log has the details.",
}
"""Codes of recorded runs and of the API that no class has."""


def error_codes() -> dict[str, str]:
    """Every code, in order, with what it means. CredentialsRefused appends the directory's own code to its code."""
    classes = _with_subclasses(ContactsyncError)
    meanings = {kind.code: (kind.__doc__ or "").split("\n\n")[0].replace("\n    ", " ") for kind in classes}
    return dict(sorted((meanings | _WITHOUT_CLASS).items()))


def exit_code_of(error_code: str | None) -> int:
    """The exit code of the class with this `code`, or with the longest beginning of it; that of the root without one.

    `directory.credentials.52e` is one of `directory.credentials`.
    """
    classes = list(_with_subclasses(ContactsyncError))
    codes = {kind.code: kind.exit_code for kind in classes} | {"malformed_request": UsageError.exit_code}
    words = (error_code or "").split(".")
    beginnings = (".".join(words[:number]) for number in range(len(words), 0, -1))
    return next((codes[code] for code in beginnings if code in codes), ContactsyncError.exit_code)


def _with_subclasses(kind: type[ContactsyncError]) -> Iterator[type[ContactsyncError]]:
    """The classes of this module."""
    yield kind
    for subclass in kind.__subclasses__():
        if subclass.__module__ == __name__:
            yield from _with_subclasses(subclass)
