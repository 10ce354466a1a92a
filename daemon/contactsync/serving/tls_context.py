"""The TLS context of a server, from the files in settings.toml."""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contactsync.errors import SettingsError
from contactsync.settings.schema import Api, Metrics
from contactsync.settings.web import Web

_HINTS = {
    "api": "Correct [api] in settings.toml or the file, then `systemctl reload contactsync` or SIGHUP.",
    "metrics": "Correct [metrics] in settings.toml or the file, then `systemctl reload contactsync` or SIGHUP.",
    "web": "Correct [web] in the settings or the file, then start the console again.",
}
_MISSING = {
    "api": "[api] listen needs tls_certificate and tls_key, because the API is never served without TLS.",
    "metrics": "[metrics] tls_certificate and tls_key are needed together, and one of them is not set.",
    "web": "[web] tls_certificate and tls_key are needed together, and one of them is not set.",
}


class _Unusable(Exception):
    """The files cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A context, and when its certificate expires."""

    context: ssl.SSLContext
    expires_at: datetime


def server_tls(settings: Api | Metrics | Web) -> ServerTls:
    """The context for these settings. Raises SettingsError."""
    section = type(settings).__name__.lower()
    try:
        if settings.tls_certificate and settings.tls_key:
            return _server_tls(settings, section)
    except _Unusable as unusable:
        raise SettingsError(str(unusable), hint=_HINTS[section]) from None
    raise SettingsError(_MISSING[section], hint=_HINTS[section])


def _server_tls(settings: Api | Metrics | Web, section: str) -> ServerTls:
    expires_at = _expiry(settings.tls_certificate, section)
    _check_key(settings.tls_key, section)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, settings.tls_certificate, settings.tls_key)
    if not isinstance(settings, Web) and settings.tls_client_ca:
        _read(settings.tls_client_ca, f"[{section}] tls_client_ca")
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except OSError:
            raise _Unusable(f"{settings.tls_client_ca} holds no certificates in PEM form.") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return ServerTls(context, expires_at)


def _expiry(path: str, section: str) -> datetime:
    """When a certificate expires. Raises _Unusable if it is not valid now."""
    octets = _read(path, f"[{section}] tls_certificate")
    from cryptography import x509  # noqa: PLC0415 -- eight megabytes, which only this needs

    try:
        certificate = x509.load_pem_x509_certificates(octets)[0]
    except ValueError:
        raise _Unusable(f"{path} holds no certificate in PEM form.") from None
    now = datetime.now(UTC)
    expires_at, valid_from = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if expires_at <= now:
        raise _Unusable(f"The certificate {path} expired on {expires_at:%Y-%m-%d %H:%M} UTC.")
    if valid_from > now:
        raise _Unusable(f"The certificate {path} is not valid before {valid_from:%Y-%m-%d %H:%M} UTC.")
    return expires_at


def _check_key(path: str, section: str) -> None:
    _read(path, f"[{section}] tls_key")
    if Path(path).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise _Unusable(f"The private key {path} is open to every user of this machine (chmod o= {path}).")


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    encrypted = False

    def no_password() -> str:  # else OpenSSL asks for it in the terminal
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if encrypted:
            raise _Unusable(f"The private key {key} is encrypted, and there is no password for it.") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _Unusable(f"The private key {key} does not belong to the certificate {certificate}.") from None
        raise _Unusable(f"{key} holds no private key in PEM form that fits the certificate {certificate}.") from None
    except OSError as error:
        raise _Unusable(f"The certificate {certificate} or its key cannot be read: {error.strerror}.") from None


def _read(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _Unusable(f"{path}, which is {setting}, cannot be read: {error.strerror}.") from None
