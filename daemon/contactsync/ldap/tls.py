"""TLS for ldap3's connections, checked by Python's own ssl module, and what its failures mean."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ldap3

from contactsync.errors import (
    CertificateRefused,
    DefinitionError,
    DirectoryError,
    ProtocolViolation,
    ServerTimeout,
    ServerUnavailable,
)

_OTHER_NAME = {62, 64}
_EXPIRED = 10
_NOT_YET_VALID = 9
_SELF_SIGNED = 18
_UNKNOWN_ISSUER = {2, 19, 20, 21}
"""X509_V_ERR_* of OpenSSL's x509_vfy.h: SSLCertVerificationError.verify_code."""


class CheckedTls(ldap3.Tls):  # type: ignore[misc]  # ldap3 publishes no types
    """Wraps a connection's socket by an SSLContext that checks the server's own name, IP addresses included.

    ldap3 checks no certificate unless told to, and its own matcher for Python 3.12 and later knows no IP addresses.
    It also loses the error of a failed handshake but for its text: `failure` keeps it.
    """

    def __init__(self, host: str, *, verify: bool, ca_file: str | None) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
        self.failure: OSError | ValueError | None = None
        self._host = host
        self._context = _context(verify=verify, ca_file=ca_file)

    def wrap_socket(self, connection: Any, do_handshake: bool = True) -> ssl.SSLSocket:  # noqa: ARG002, FBT001, FBT002 -- ldap3's
        """Put TLS on the connection; ldap3 calls this for LDAPS, we for StartTLS. The handshake is always done."""
        try:
            wrapped = self._context.wrap_socket(connection.socket, server_hostname=self._host)
        except (OSError, ValueError) as error:
            self.failure = error
            raise
        connection.socket = wrapped
        return wrapped


def _context(*, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    if ca_file is not None and not Path(ca_file).is_file():
        raise DefinitionError(f"There is no file {ca_file!r}.", hint="Correct `tls_ca_file` (--ca-file).")
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"{ca_file!r} holds no certificates: {error}.",
            hint="`tls_ca_file` (--ca-file) takes a readable file of certificates in PEM form.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def expiry_of(connected: socket.socket) -> datetime | None:
    """When the server's certificate expires; None without TLS, and for one that was not checked."""
    certificate = connected.getpeercert() if isinstance(connected, ssl.SSLSocket) else None
    # Python tells nothing of a certificate that it was not to check.
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC) if certificate else None


def handshake_error(failure: Exception, server: str, *, seconds: float) -> DirectoryError:
    """The error for a TLS handshake that ended with `failure` or took longer than so many seconds."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _certificate_error(failure, server)
    if isinstance(failure, TimeoutError):
        return ServerTimeout(f"{server} did not finish the TLS handshake within {seconds:g} seconds.")
    if isinstance(failure, ssl.SSLError) and not isinstance(failure, ssl.SSLEOFError):
        return ProtocolViolation(
            f"{server} and this machine could not agree on TLS: {failure.reason or failure}.",
            hint="Check that this port speaks TLS (LDAPS is usually on 636), in version 1.2 or later.",
        )
    return ServerUnavailable(f"{server} broke off the TLS handshake: {failure}.")


def _certificate_error(failure: ssl.SSLCertVerificationError, server: str) -> CertificateRefused:
    code, said = failure.verify_code, failure.verify_message.rstrip(".")
    trust = "Put the certificate of the authority that issued it into a file and name it in `tls_ca_file` (--ca-file)."
    why, hint = f"does not hold: {said}", trust
    if code in _OTHER_NAME:
        why, hint = f"is made out to another name: {said}", "Use the name that is in the certificate as the server."
    elif code == _EXPIRED:
        why, hint = "has expired", "Ask the directory's administrator to renew it."
    elif code == _NOT_YET_VALID:
        why, hint = "is not valid yet", "Check the clocks of both machines."
    elif code == _SELF_SIGNED:
        why = "is self-signed and not one that is trusted here"
    elif code in _UNKNOWN_ISSUER:
        why = f"comes from an issuer that is not trusted here: {said}"
    refused = CertificateRefused(
        f"The certificate of {server} {why}.",
        hint=f"{hint} `tls_verify` false (--no-tls-verify) skips the check and with it all protection of the password.",
    )
    refused.unknown_issuer = code in {_SELF_SIGNED, *_UNKNOWN_ISSUER}
    return refused
