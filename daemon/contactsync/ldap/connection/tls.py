"""TLS contexts, and the errors for failed handshakes."""

from __future__ import annotations

import socket
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import structlog

from contactsync.errors import (
    AccessRefused,
    CertificateRefused,
    DefinitionError,
    DirectoryError,
    ProtocolViolation,
    ServerTimeout,
    ServerUnavailable,
)
from contactsync.ldap.connection.options import TlsOptions
from contactsync.model import DEFAULT_TLS_MINIMUM
from contactsync.text import quoted

_log = structlog.get_logger()

# X509_V_ERR_* of OpenSSL's x509_vfy.h: SSLCertVerificationError.verify_code.
_OTHER_NAME = {62, 64}
_EXPIRED = 10
_NOT_YET_VALID = 9
_SELF_SIGNED = 18
_UNKNOWN_ISSUER = {2, 19, 20, 21}
_TOO_WEAK = {66, 67, 68}

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_CLIENT_CERTIFICATE_ALERTS = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
)
"""RFC 8446, section 6.2, as in OpenSSL's reasons: SSLV3_ALERT_BAD_CERTIFICATE."""


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """A context that checks certificate and host name as `options` say; raises DefinitionError."""
    context = _context_of_authorities(options.ca_file, options.ca_pem)
    # Python 3.13 sets it by default and refuses certificates without an Authority Key Identifier. Every version of
    # Python is to accept the same certificates.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = _VERSIONS[options.minimum or DEFAULT_TLS_MINIMUM]
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.client_cert:
        _load_client_certificate(context, options.client_cert, options.client_key)
    return context


def _context_of_authorities(ca_file: str | None, ca_pem: str | None) -> ssl.SSLContext:
    if ca_file is not None:
        _check_file(ca_file, "tls_ca_file", "--ca-file")
    try:
        if ca_pem is not None:
            ca_pem.encode("ascii")  # Python raises TypeError for other texts
        return ssl.create_default_context(cafile=ca_file, cadata=ca_pem)
    except (OSError, ValueError, TypeError) as error:  # TypeError: it is not ASCII
        if ca_pem is not None:
            raise DefinitionError(
                f"`tls_ca_pem` holds no certificates: {error}.", hint="It takes certificates in PEM form (--ca-pem)."
            ) from error
        raise DefinitionError(
            f"{quoted(ca_file or '')} holds no certificates: {error}.",
            hint="`tls_ca_file` (--ca-file) takes a readable file of certificates in PEM form.",
        ) from error


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    _check_file(certificate, "tls_client_cert", "--client-cert")
    if key is not None:
        _check_file(key, "tls_client_key", "--client-key")

    def no_password() -> str:  # else OpenSSL asks for it in the terminal
        message = "its key is encrypted"
        raise ValueError(message)

    try:
        if is_exposed(key or certificate):
            _log.warning("secret.exposed", path=key or certificate)
        context.load_cert_chain(certificate, key, no_password)
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"The client certificate {quoted(certificate)} cannot be used with its private key: {error}.",
            hint="`tls_client_cert` (--client-cert) and `tls_client_key` (--client-key) take readable PEM files that"
            " belong together; the key must not be encrypted.",
        ) from None


def is_exposed(path: str) -> bool:
    """Whether users other than the owner and the group may read or change a file; raises OSError."""
    return bool(Path(path).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))


def client_expiry(options: TlsOptions) -> datetime | None:
    """When the client certificate expires; None without one, or if its file can no longer be read."""
    if not options.client_cert:
        return None
    from cryptography import x509  # noqa: PLC0415 -- eight megabytes, which only some connections need

    try:
        octets = Path(options.client_cert).read_bytes()
        return x509.load_pem_x509_certificates(octets)[0].not_valid_after_utc
    except (OSError, ValueError):
        return None


def _check_file(path: str, column: str, option: str) -> None:
    if not Path(path).is_file():
        raise DefinitionError(f"There is no file {quoted(path)}.", hint=f"Correct `{column}` ({option}).")


def check_authorities(pem: str) -> None:
    """Raise DefinitionError when this text holds no certificates."""
    _context_of_authorities(None, pem)


def expiry_of(connected: socket.socket) -> datetime | None:
    """When the server's certificate expires; None without TLS, and for a certificate that is not checked."""
    certificate = connected.getpeercert() if isinstance(connected, ssl.SSLSocket) else None
    # Python returns an empty dictionary for a certificate that it does not check.
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC) if certificate else None


def handshake_error(failure: Exception, server: str, *, seconds: float) -> DirectoryError:
    """The error for a TLS handshake that failed, or took longer than `seconds`."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _certificate_error(failure, server)
    if isinstance(failure, TimeoutError):
        return ServerTimeout(f"{server} did not finish the TLS handshake within {seconds:g} seconds.")
    refused = our_certificate_refused(failure, server)
    if refused:
        return refused
    if isinstance(failure, ssl.SSLError) and not isinstance(failure, ssl.SSLEOFError):
        return ProtocolViolation(
            f"{server} and this machine could not agree on TLS: {failure.reason or failure}.",
            hint="Check that this port speaks TLS (LDAPS is usually on 636), in a version that is new enough.",
        )
    return ServerUnavailable(f"{server} broke off the TLS handshake: {failure}.")


def our_certificate_refused(failure: Exception, server: str) -> AccessRefused | None:
    """The error for an alert about the client certificate; None for any other failure.

    With TLS 1.3 the alert comes after the client's handshake (RFC 8446, section 4.4.2.4 and appendix E.1.2).
    """
    reason = str(getattr(failure, "reason", None))
    if not isinstance(failure, ssl.SSLError) or not any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        return None
    alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
    return AccessRefused(
        f"{server} refused the client certificate, or requires one: {alert}.",
        hint="Set `tls_client_cert` (--client-cert) to a certificate of an authority that the directory trusts.",
    )


def _certificate_error(failure: ssl.SSLCertVerificationError, server: str) -> CertificateRefused:
    code, reason = failure.verify_code, failure.verify_message.rstrip(".")
    hint = "Put the certificate of the authority that issued it into a file and name it in `tls_ca_file` (--ca-file)."
    why = f"is not valid: {reason}"
    if code in _OTHER_NAME:
        why, hint = f"is issued for another name: {reason}", "Use a name of the certificate as the server."
    elif code == _EXPIRED:
        why, hint = "has expired", "Ask the directory's administrator to renew it."
    elif code == _NOT_YET_VALID:
        why, hint = "is not valid yet", "Check the clocks of both machines."
    elif code == _SELF_SIGNED:
        why = "is self-signed and not trusted here"
    elif code in _UNKNOWN_ISSUER:
        why = f"comes from an issuer that is not trusted here: {reason}"
    elif code in _TOO_WEAK:
        why = f"is too weak for the settings of this machine: {reason}"
        hint = "Ask the directory's administrator for a certificate with a longer key (RSA: 2,048 bits) and SHA-256."
    else:
        hint = "Ask the directory's administrator to have the certificate issued anew."
    refused = CertificateRefused(
        f"The certificate of {server} {why}.",
        hint=f"{hint} `tls_verify` false (--no-tls-verify) skips the check and with it all protection of the password.",
    )
    refused.unknown_issuer = code in {_SELF_SIGNED, *_UNKNOWN_ISSUER}
    return refused
