"""What decides how a connection is made: where to, as whom, and how carefully."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contactsync.errors import DefinitionError
from contactsync.ldap.query.address import ServerAddress
from contactsync.model import Auth, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Which certificates are good enough, and which one is ours.

    `minimum` is "1.2" or "1.3". Files are PEM, by their paths; `ca_pem` is the text of one. `client_key` None: the file
    `client_cert` holds it as well.
    """

    verify: bool = True
    minimum: str | None = None
    ca_file: str | None = None
    ca_pem: str | None = field(default=None, repr=False)
    client_cert: str | None = None
    client_key: str | None = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """Every file whose content matters."""
        return self.ca_file, self.client_cert, self.client_key


@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """Where to connect, as whom, and how carefully. Times are seconds.

    `servers` are in the order to try them; it means nothing to another run when it was `drawn` by chance (RFC 2782).
    `name_servers` () are those of this machine.
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

    @property
    def anonymous(self) -> bool:
        """Whether nobody in particular asks."""
        return self.auth is Auth.SIMPLE and not self.user


def check_protection(
    servers: Iterable[ServerAddress], *, auth: Auth, user: str | None, tls: Tls, trust: TlsOptions
) -> None:
    """Raise DefinitionError when these contradict each other."""
    if tls in {Tls.NONE, Tls.STARTTLS} and any(server.ldaps for server in servers):
        raise DefinitionError(
            f"The query asks for LDAPS, and `tls` is set to {tls.value!r}.",
            hint="Set `tls` to 'auto', or write ldap:// in the query.",
        )
    if trust.ca_file and trust.ca_pem:
        raise DefinitionError(
            "The authorities come from two places, `tls_ca_file` and `tls_ca_pem`.", hint="Leave out one of them."
        )
    if trust.client_key and not trust.client_cert:
        raise DefinitionError(
            "There is a private key (`tls_client_key`) without its certificate.", hint="Set `tls_client_cert` as well."
        )
    if auth is Auth.EXTERNAL:
        _check_external(user, tls, trust)


def _check_external(user: str | None, tls: Tls, trust: TlsOptions) -> None:
    """RFC 4513, section 5.2.3: the identity comes from outside LDAP, which for us is TLS."""
    if user:
        raise DefinitionError(
            "With `auth` set to 'external' the certificate says who asks, and there is a user as well.",
            hint="Leave out the user and the password, or set `auth` to 'simple'.",
        )
    if not trust.client_cert:
        raise DefinitionError(
            "With `auth` set to 'external' a certificate says who asks, and there is none.",
            hint="Set `tls_client_cert` (--client-cert).",
        )
    if tls is Tls.NONE:
        raise DefinitionError(
            "With `auth` set to 'external' a certificate says who asks, and `tls` is 'none'.",
            hint="Set `tls` to 'auto', 'starttls' or 'ldaps'.",
        )
