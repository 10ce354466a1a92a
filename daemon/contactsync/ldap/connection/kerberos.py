"""Authentication by a Kerberos ticket: SASL's GSSAPI mechanism (RFC 4752) over a connection with TLS.

python-gssapi is an optional extra, because it must be built on the machine. The ticket comes from the credentials
cache or, with KRB5_CLIENT_KTNAME in the environment, from a keytab, and is renewed from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from contactsync.errors import AccessRefused, CredentialsRefused, DefinitionError, DirectoryError, ServerUnavailable
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.messages import BIND_RESPONSE
from contactsync.ldap.protocol.requests import sasl_bind_op
from contactsync.ldap.protocol.results import (
    SASL_IN_PROGRESS,
    STRONGER_AUTH_REQUIRED,
    SUCCESS,
    TLS_HINT,
    Result,
    bind_error,
)
from contactsync.settings.extras import install_hint
from contactsync.text import quoted

_MECHANISM = "GSSAPI"
_NO_LAYER = 0x01
_CHOSEN_LAYER = bytes((_NO_LAYER, 0, 0, 0))
"""RFC 4752, section 3.1: no security layer, no buffer for it, and no authorization identity."""
_MOST_STEPS = 10

_KRB5 = -1765328384
"""The first error number of MIT Kerberos (ERROR_TABLE_BASE_krb5)."""
_REFUSED = {6: "there is no such principal", 18: "the account is disabled or locked", 23: "its password has expired",
            24: "the keytab is out of date, or the password is wrong"}  # fmt: skip
_NO_SERVICE, _SKEW, _NO_KDC = 7, 37, 156
_HINTS = {
    _NO_SERVICE: "Use the full host name of the server in the query, as in its certificate, not its IP address.",
    _SKEW: "Set the clocks of both machines.",
}
_SAMBA = (
    "If it is Samba, its administrator has to set `ldap server require strong auth = allow_sasl_over_tls` in smb.conf."
)
_NO_TICKET = (
    "Set KRB5_CLIENT_KTNAME in the daemon's environment to a keytab that it can read (docs/how-to/kerberos.md);"
    " on the command line, get a ticket by kinit."
)


def kerberos_bind(wire: Wire, user: str | None) -> None:
    """Bind as the default principal, or as the principal `user` of the keytab.

    Raises CredentialsRefused, ServerUnavailable, AccessRefused or another DirectoryError, and DefinitionError if
    python-gssapi is missing.
    """
    gssapi = _library()
    with _translated(gssapi, wire.server, user):
        context = _context(gssapi, wire, user)
        result = _establish(wire, context)
        if result.code == SASL_IN_PROGRESS:
            result = _without_layer(wire, context, result.value)
        if result.code == STRONGER_AUTH_REQUIRED and wire.peer_certificate:
            raise AccessRefused(f"{wire.server} refused Kerberos over TLS: {result}.", hint=_SAMBA)
        if result.code != SUCCESS:
            raise bind_error(result, server=wire.server, user=str(context.initiator_name))


def _library() -> ModuleType:
    try:
        import gssapi  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise DefinitionError(
            f"`auth` is 'kerberos', but python-gssapi cannot be imported: {error}.",
            hint=f"{install_hint('kerberos')} Or set `auth` to 'simple'.",
        ) from None
    return gssapi  # type: ignore[no-any-return]


def _context(gssapi: ModuleType, wire: Wire, user: str | None) -> Any:
    host = urlsplit(wire.server).hostname or ""
    flags = gssapi.RequirementFlag
    credentials = None
    if user:
        principal = gssapi.Name(user, gssapi.NameType.kerberos_principal)
        credentials = gssapi.Credentials(name=principal, usage="initiate")
    return gssapi.SecurityContext(
        name=gssapi.Name(f"ldap@{host}", gssapi.NameType.hostbased_service),
        creds=credentials,
        mech=gssapi.MechType.kerberos,
        flags=[flags.mutual_authentication, flags.integrity, flags.out_of_sequence_detection],
        usage="initiate",
        channel_bindings=_channel_binding(gssapi, wire.peer_certificate),
    )


def _establish(wire: Wire, context: Any) -> Result:
    """Exchange tokens until the server offers its security layers, or ends the bind."""
    token = context.step()
    for _ in range(_MOST_STEPS):
        result = wire.ask(sasl_bind_op(_MECHANISM, token or b""), BIND_RESPONSE)
        if result.code != SASL_IN_PROGRESS or (context.complete and not token):
            return result
        token = None if context.complete else context.step(result.value)
    raise DirectoryError(f"{wire.server} did not finish the Kerberos bind after {_MOST_STEPS} steps.")


def _without_layer(wire: Wire, context: Any, offer: bytes) -> Result:
    """Choose no security layer, because TLS protects the connection; returns the server's response."""
    offered = context.unwrap(offer).message
    if not offered or not offered[0] & _NO_LAYER:
        raise AccessRefused(f"{wire.server} requires signed messages, which is left to TLS here.", hint=TLS_HINT)
    answer = context.wrap(_CHOSEN_LAYER, False).message  # noqa: FBT003 -- not encrypted
    return wire.ask(sasl_bind_op(_MECHANISM, answer), BIND_RESPONSE)


def _channel_binding(gssapi: ModuleType, certificate: bytes | None) -> Any:
    """Binds the ticket to this TLS connection (tls-server-end-point, RFC 5929, section 4); None without TLS.

    Active Directory can require it (LdapEnforceChannelBinding).
    """
    if certificate is None:
        return None
    from cryptography import x509  # noqa: PLC0415 -- eight megabytes, which only some connections need
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 -- the same

    used = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    weak = used is None or isinstance(used, hashes.MD5 | hashes.SHA1)
    digest = hashes.Hash(hashes.SHA256() if weak or used is None else used)
    digest.update(certificate)
    return gssapi.raw.ChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


@contextmanager
def _translated(gssapi: ModuleType, server: str, user: str | None) -> Iterator[None]:
    """Translate errors of GSSAPI."""
    try:
        yield
    except gssapi.exceptions.GSSError as error:
        number = ((error.min_code + 2**31) % 2**32 - 2**31) - _KRB5
        who = f"the user {quoted(user)}" if user else "the default principal"
        reasons = error.get_all_statuses(error.min_code, False)  # noqa: FBT003 -- the mechanism's, not GSSAPI's
        why = f"Kerberos gives {who} no ticket for {server}: {'; '.join(reasons) or error}."
        if number in _REFUSED:
            hint = f"{_REFUSED[number].capitalize()}. Fix it, then run the definition once by hand."
            raise CredentialsRefused(why, hint=hint) from None
        if number == _NO_KDC:
            raise ServerUnavailable(why, hint="Check krb5.conf, DNS, and that the domain controllers run.") from None
        raise AccessRefused(why, hint=_HINTS.get(number, _NO_TICKET)) from None
