"""The options of a connection: servers, authentication, TLS, timeouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from contactsync.errors import DefinitionError
from contactsync.ldap.query.address import ServerAddress
from contactsync.model import Auth, Tls
from contactsync.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Which server certificates are accepted, and the client certificate.

    `minimum` is "1.2" or "1.3". Files are paths of PEM files; `ca_pem` is PEM text. Without `client_key` the key is in
    `client_cert`.
    """

    verify: bool = True
    minimum: str | None = None
    ca_file: str | None = None
    ca_pem: str | None = field(default=None, repr=False)
    client_cert: str | None = None
    client_key: str | None = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """The paths of all files."""
        return self.ca_file, self.client_cert, self.client_key


@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """Servers in the order to try them, authentication and TLS. Times are in seconds.

    `drawn`: the order of the servers is random (RFC 2782). Without `name_servers` this machine's are used. `logon` is
    entered for each bind with a user.
    """

    servers: tuple[ServerAddress, ...]
    drawn: bool = False
    user: str | None
    password: str | None = field(repr=False)
    auth: Auth = Auth.SIMPLE
    tls: Tls
    trust: TlsOptions = TlsOptions()
    connect_timeout: float
    receive_timeout: float
    name_servers: tuple[ServerAddress, ...] = ()
    logon: Callable[[], AbstractContextManager[None]] = field(default=nullcontext, compare=False, repr=False)

    @property
    def anonymous(self) -> bool:
        """Whether the bind is anonymous."""
        return self.auth is Auth.SIMPLE and not self.user


def check_credentials(options: ConnectOptions) -> None:
    """Raise DefinitionError for a user without a password."""
    if options.auth is Auth.SIMPLE and options.user and not options.password:
        # RFC 4513, section 5.1.2: servers treat this as an anonymous bind, which would look like a success.
        raise missing_password(options.user)


def missing_password(user: str | None) -> DefinitionError:
    """The error for a definition with a user and no password."""
    return DefinitionError(f"The user {quoted(user or '')} has no password.", hint="Set one, or leave out the user.")


def check_protection(
    servers: Iterable[ServerAddress], *, auth: Auth, user: str | None, tls: Tls, trust: TlsOptions
) -> None:
    """Raise DefinitionError when the options contradict each other."""
    if tls in {Tls.NONE, Tls.STARTTLS} and any(server.ldaps for server in servers):
        raise DefinitionError(
            f"The query asks for LDAPS, and `tls` is set to {quoted(tls.value)}.",
            hint="Set `tls` to 'auto', or write ldap:// in the query.",
        )
    if trust.ca_file and trust.ca_pem:
        raise DefinitionError("Both `tls_ca_file` and `tls_ca_pem` are set.", hint="Leave out one of them.")
    if trust.client_key and not trust.client_cert:
        raise DefinitionError(
            "There is a private key (`tls_client_key`) without its certificate.", hint="Set `tls_client_cert` as well."
        )
    if auth is Auth.EXTERNAL:
        _check_external(user, tls, trust)


def _check_external(user: str | None, tls: Tls, trust: TlsOptions) -> None:
    """RFC 4513, section 5.2.3: the identity comes from outside LDAP, here from TLS."""
    if user:
        raise DefinitionError(
            "`auth` is 'external', so the certificate identifies the user, but there is a user as well.",
            hint="Leave out the user and the password, or set `auth` to 'simple'.",
        )
    if not trust.client_cert:
        raise DefinitionError(
            "`auth` is 'external', but there is no client certificate.", hint="Set `tls_client_cert` (--client-cert)."
        )
    if tls is Tls.NONE:
        raise DefinitionError(
            "`auth` is 'external', which needs TLS, but `tls` is 'none'.",
            hint="Set `tls` to 'auto', 'starttls' or 'ldaps'.",
        )
