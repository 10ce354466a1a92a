"""What a check says about the certificate that is shown to the directory, beside the server's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contactsync.checks.certificates import certificate_in, expiry
from contactsync.checks.result import Status, StepResult
from contactsync.ldap.connection.tls import is_exposed

if TYPE_CHECKING:
    from contactsync.ldap.connection.options import TlsOptions


def with_client_certificate(result: StepResult, trust: TlsOptions) -> StepResult:
    """The result of the TLS step with what there is to know of our certificate; TLS has read its files by then."""
    if not (trust.client_cert and result.leaves_ground):
        return result
    own, key = certificate_in(Path(trust.client_cert)), trust.client_key or trust.client_cert
    now = datetime.now(UTC)
    hints = []
    if own.expires_soon(now):
        hints.append("Have the client certificate renewed before it expires; runs fail from that day on.")
    if is_exposed(key):
        hints.append(f"Others may read the private key: chmod o= {key}")
    return replace(
        result,
        status=Status.WARNING if hints else result.status,
        hint=" ".join(filter(None, (result.hint, *hints))),
        details=(*result.details, f"shown to the server: {own.subject}, {expiry(own, now)}"),
        data=result.data | {"client_certificate": own.data(), "key_exposed": is_exposed(key)},
    )
