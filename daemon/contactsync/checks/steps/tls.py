"""The step "tls": whether the connection is protected, and the certificates of both sides."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from contactsync.checks.certificates import Certificate, certificate_in, certificates_of, expiry
from contactsync.checks.context import CheckContext
from contactsync.checks.result import Status, StepResult, blocked, ok, skipped, warning
from contactsync.errors import CertificateRefused, DirectoryError
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.target import Target, open_protected
from contactsync.ldap.connection.tls import is_exposed

_RENEW = "Renew the {} before it expires; afterwards runs fail."


@dataclass(frozen=True, slots=True)
class _Handshake:
    version: str
    cipher: str
    chain: tuple[Certificate, ...]

    def details(self) -> tuple[str, ...]:
        """The chain, the server's own certificate first."""
        if not self.chain:
            return ()
        own, *others = self.chain
        return (
            f"certificate for {', '.join(own.names) or own.subject}",
            f"issued by {own.issuer}",
            f"valid from {own.not_before:%Y-%m-%d} to {own.not_after:%Y-%m-%d}",
            *(f"also sent: {other.subject}, {expiry(other)}" for other in others),
        )

    def data(self) -> dict[str, Any]:
        return {"version": self.version, "cipher": self.cipher, "chain": [each.data() for each in self.chain]}


def check_tls(context: CheckContext) -> StepResult:
    """Do the handshake with one server after the other, as a run does, and choose the first that is usable."""
    unusable: list[StepResult] = []
    for target in (targets[0] for targets in context.targets):
        result = _check_target(context, target)
        if result.blocking:
            unusable.append(result)
            continue
        context.target = target
        if target.protected:
            result = _with_client_certificate(result, context.connect_options().trust)
        return _with_unusable(result, unusable)
    return unusable[0]


def _with_unusable(result: StepResult, unusable: list[StepResult]) -> StepResult:
    if not unusable:
        return result
    details = (*result.details, *(f"skipped: {other.text}" for other in unusable))
    return replace(result, status=Status.WARNING, details=details, hint=unusable[0].hint)


def _check_target(context: CheckContext, target: Target) -> StepResult:
    if not target.protected:
        return _plain(context, target)
    options = context.connect_options()
    try:
        handshake = _shake_hands(context, target, options)
    except CertificateRefused as error:
        return _refused(context, target, error)
    except DirectoryError as error:
        return blocked(error)
    return _accepted(target, handshake, options)


def _plain(context: CheckContext, target: Target) -> StepResult:
    data = {"protected": False}
    if context.resolved.user:
        hint = "Set `tls` to 'auto', 'starttls' or 'ldaps'."
        return warning(f"The password is sent to {target.url} in plain text.", hint, data)
    hint = "To protect what is read, use ldaps:// or set `tls` to 'starttls'."
    return skipped(f"The connection to {target.url} is anonymous and in plain text.", hint, data)


def _accepted(target: Target, handshake: _Handshake, options: ConnectOptions) -> StepResult:
    how = "LDAPS" if target.ldaps else "StartTLS"
    text = f"{handshake.version} by {how}, {handshake.cipher};"
    data = {"protected": True, "verified": options.trust.verify, **handshake.data()}
    details = handshake.details()
    if not options.trust.verify:
        hint = "An attacker can impersonate the server and read the password. Set `tls_verify` (--tls-verify)."
        return warning(f"{text} the certificate is NOT verified.", hint, data, details=details)
    now = datetime.now(UTC)
    ending = next((each for each in handshake.chain if each.expires_soon(now)), None)
    if ending:
        text = f"{text} the certificate {expiry(ending, now)}."
        return warning(text, _RENEW.format("certificate"), data, details=details)
    validity = f" and {expiry(handshake.chain[0], now)}" if handshake.chain else ""
    return ok(f"{text} the certificate is trusted{validity}.", data, details=details)


def _with_client_certificate(result: StepResult, trust: TlsOptions) -> StepResult:
    if not trust.client_cert:
        return result
    certificate, key = certificate_in(Path(trust.client_cert)), trust.client_key or trust.client_cert
    now = datetime.now(UTC)
    hints = [_RENEW.format("client certificate")] if certificate.expires_soon(now) else []
    hints += [f"Other users can read the private key: chmod o= {key}"] if is_exposed(key) else []
    return replace(
        result,
        status=Status.WARNING if hints else result.status,
        hint=" ".join(filter(None, (result.hint, *hints))),
        details=(*result.details, f"client certificate: {certificate.subject}, {expiry(certificate, now)}"),
        data=result.data | {"client_certificate": certificate.data(), "key_exposed": is_exposed(key)},
    )


def _refused(context: CheckContext, target: Target, error: CertificateRefused) -> StepResult:
    """The error, with the certificate: it is read over a connection that nothing else is sent over."""
    unverified = replace(context.connect_options(), trust=TlsOptions(verify=False))
    with suppress(DirectoryError):
        handshake = _shake_hands(context, target, unverified)
        data = {"protected": True, "verified": False, **handshake.data()}
        authority = _missing_authority(handshake) if error.unknown_issuer else ()
        return blocked(error, data, details=(*handshake.details(), *authority))
    return blocked(error)


def _missing_authority(handshake: _Handshake) -> tuple[str, ...]:
    """The authority that is not trusted, and its fingerprint if the server sent its certificate."""
    if not handshake.chain:
        return ()
    last = handshake.chain[-1]
    if last.self_issued:
        return (f"unknown authority: {last.subject}; trust it if its administrator confirms this SHA-256:", last.sha256)
    return (f"unknown authority: {last.issuer}; the server did not send its certificate",)


def _shake_hands(context: CheckContext, target: Target, options: ConnectOptions) -> _Handshake:
    wire = open_protected(target, options, context.deadline())
    try:
        tls = cast("ssl.SSLSocket", wire.socket)
        cipher = tls.cipher()
        return _Handshake(tls.version() or "TLS", cipher[0] if cipher else "no cipher", certificates_of(tls))
    finally:
        wire.close()
