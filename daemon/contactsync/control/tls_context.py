"""The TLS context of the API, from the files in settings.toml."""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contactsync.errors import SettingsError
from contactsync.settings.schema import Api

_HINT = "Correct [api] in settings.toml or the file, then `systemctl reload contactsync` or SIGHUP."


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A context, and when its certificate expires."""

    context: ssl.SSLContext
    expires_at: datetime


def server_tls(settings: Api) -> ServerTls:
    """The context for these settings. Raises SettingsError."""
    if not (settings.tls_certificate and settings.tls_key):
        raise _refused("[api] listen needs tls_certificate and tls_key, because the API is never served without TLS.")
    expires_at = _expiry(settings.tls_certificate)
    _check_key(settings.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, settings)
    if settings.tls_client_ca:
        _read(settings.tls_client_ca, "tls_client_ca")
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except OSError:
            raise _refused(f"{settings.tls_client_ca} holds no certificates in PEM form.") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return ServerTls(context, expires_at)


def _expiry(path: str) -> datetime:
    """When a certificate expires. Raises SettingsError if it is not valid now."""
    octets = _read(path, "tls_certificate")
    from cryptography import x509  # noqa: PLC0415 -- eight megabytes, which only this needs

    try:
        certificate = x509.load_pem_x509_certificates(octets)[0]
    except ValueError:
        raise _refused(f"{path} holds no certificate in PEM form.") from None
    now = datetime.now(UTC)
    expires_at, valid_from = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if expires_at <= now:
        raise _refused(f"The certificate {path} expired on {expires_at:%Y-%m-%d %H:%M} UTC.")
    if valid_from > now:
        raise _refused(f"The certificate {path} is not valid before {valid_from:%Y-%m-%d %H:%M} UTC.")
    return expires_at


def _check_key(path: str) -> None:
    _read(path, "tls_key")
    if Path(path).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise _refused(f"The private key {path} is open to every user of this machine (chmod o= {path}).")


def _load_pair(context: ssl.SSLContext, settings: Api) -> None:
    certificate, key = settings.tls_certificate, settings.tls_key
    encrypted = False

    def no_password() -> str:  # else OpenSSL asks for it in the terminal
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if encrypted:
            raise _refused(f"The private key {key} is encrypted, and the daemon has no password for it.") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _refused(f"The private key {key} does not belong to the certificate {certificate}.") from None
        raise _refused(f"{key} holds no private key in PEM form that fits the certificate {certificate}.") from None
    except OSError as error:
        raise _refused(f"The certificate {certificate} or its key cannot be read: {error.strerror}.") from None


def _read(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _refused(f"{path}, which is [api] {setting}, cannot be read: {error.strerror}.") from None


def _refused(message: str) -> SettingsError:
    return SettingsError(message, hint=_HINT)
