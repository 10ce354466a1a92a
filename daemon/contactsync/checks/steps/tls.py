"""The step "tls": is the connection protected, by which certificate, and what would it take to trust it."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contactsync.checks.certificates import Certificate, certificates_of, expiry
from contactsync.checks.result import Status, StepResult, failed
from contactsync.checks.steps.client_certificate import with_client_certificate
from contactsync.errors import CertificateRefused, DirectoryError
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.target import Target, close, open_protected

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext


@dataclass(frozen=True, slots=True)
class _Handshake:
    """What TLS came to with one server."""

    version: str
    cipher: str
    chain: tuple[Certificate, ...]

    def details(self) -> tuple[str, ...]:
        """The chain, the server's own certificate first."""
        if not self.chain:
            return ()
        own, *others = self.chain
        lines = [
            f"made out to {', '.join(own.names) or own.subject}",
            f"issued by {own.issuer}",
            f"valid from {own.not_before:%Y-%m-%d} to {own.not_after:%Y-%m-%d}",
            *(f"sent as well: {other.subject}, {expiry(other)}" for other in others),
        ]
        return tuple(lines)

    def data(self) -> dict[str, Any]:
        """For scripts."""
        return {"version": self.version, "cipher": self.cipher, "chain": [each.data() for each in self.chain]}


def check_tls(checkup: CheckContext) -> StepResult:
    """Shake hands with one server after the other until one is good, as a run does, and choose that one."""
    refused: list[StepResult] = []
    for target in (targets[0] for targets in checkup.targets):
        result = _protect(checkup, target)
        if result.leaves_ground:
            checkup.target = target
            if target.protected:
                result = with_client_certificate(result, checkup.connect_options().trust)
            return _with_refused(result, refused)
        refused.append(result)
    return refused[0]


def _with_refused(result: StepResult, refused: list[StepResult]) -> StepResult:
    """The result of a server that will do, after some that will not."""
    if not refused:
        return result
    return replace(
        result,
        status=Status.WARNING,
        details=(*result.details, *(f"passed over: {other.text}" for other in refused)),
        hint=refused[0].hint,
    )


def _protect(checkup: CheckContext, target: Target) -> StepResult:
    if not target.protected:
        return _plain(checkup, target)
    options = checkup.connect_options()
    try:
        handshake = _shake_hands(checkup, target, options)
    except CertificateRefused as error:
        return _refused(checkup, target, error)
    except DirectoryError as error:
        return failed(error)
    return _accepted(target, handshake, options)


def _plain(checkup: CheckContext, target: Target) -> StepResult:
    if checkup.known.user:
        return StepResult(
            status=Status.WARNING,
            text=f"The password goes to {target.url} in plain text.",
            hint="Set `tls` to 'auto', 'starttls' or 'ldaps'.",
            data={"protected": False},
        )
    return StepResult(
        status=Status.SKIPPED,
        text=f"{target.url} is asked anonymously, in plain text.",
        hint="To protect what is read, use ldaps:// or set `tls` to 'starttls'.",
        data={"protected": False},
    )


def _accepted(target: Target, handshake: _Handshake, options: ConnectOptions) -> StepResult:
    how = "LDAPS" if target.ldaps else "StartTLS"
    text = f"{handshake.version} by {how}, {handshake.cipher}; {{}}."
    data = {"protected": True, "verified": options.trust.verify, **handshake.data()}
    if not options.trust.verify:
        return StepResult(
            status=Status.WARNING,
            text=text.format("the certificate is NOT checked"),
            hint="Anybody could stand in for the server and read the password; set `tls_verify` (--tls-verify).",
            details=handshake.details(),
            data=data,
        )
    now = datetime.now(UTC)
    ending = next((each for each in handshake.chain if each.expires_soon(now)), None)
    if ending:
        return StepResult(
            status=Status.WARNING,
            text=text.format(f"the certificate {expiry(ending, now)}"),
            hint="Have it renewed before then; runs fail from that day on.",
            details=handshake.details(),
            data=data,
        )
    good = f"the certificate is trusted and {expiry(handshake.chain[0], now)}" if handshake.chain else "trusted"
    return StepResult(status=Status.OK, text=text.format(good), details=handshake.details(), data=data)


def _refused(checkup: CheckContext, target: Target, error: CertificateRefused) -> StepResult:
    """Look at the certificate all the same: over a connection that nothing is sent over, the password least of all."""
    unchecked = replace(checkup.connect_options(), trust=TlsOptions(verify=False))
    with suppress(DirectoryError):
        handshake = _shake_hands(checkup, target, unchecked)
        return failed(
            error,
            details=(*handshake.details(), *(_missing_authority(handshake) if error.unknown_issuer else ())),
            data={"protected": True, "verified": False, **handshake.data()},
        )
    return failed(error)


def _missing_authority(handshake: _Handshake) -> tuple[str, ...]:
    """Whose certificate the file of authorities has to hold, and how to know it when the server sent it."""
    if not handshake.chain:
        return ()
    last = handshake.chain[-1]
    if last.self_issued:
        return (f"to be trusted: {last.subject}, if somebody who knows confirms its SHA-256", last.sha256)
    return (f"to be trusted: {last.issuer}, whose certificate the server did not send",)


def _shake_hands(checkup: CheckContext, target: Target, options: ConnectOptions) -> _Handshake:
    connection, _wire = open_protected(target, options, checkup.deadline())
    try:
        tls: ssl.SSLSocket = connection.socket
        cipher = tls.cipher()
        return _Handshake(tls.version() or "TLS", cipher[0] if cipher else "no cipher", certificates_of(tls))
    finally:
        close(connection)
