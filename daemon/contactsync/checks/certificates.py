"""A server's certificates (RFC 5280) as an administrator wants to see them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from contactsync.model import CERTIFICATE_WARNING


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate; `names` are those that it is made out to, DNS names and IP addresses."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    sha256: str

    @property
    def self_issued(self) -> bool:
        """Whether nobody else vouches for it: a root, or a self-signed one."""
        return self.subject == self.issuer

    def expires_soon(self, now: datetime) -> bool:
        """Whether it ends within CERTIFICATE_WARNING."""
        return self.not_after - now < CERTIFICATE_WARNING

    def data(self) -> dict[str, Any]:
        """For scripts; times are ISO 8601."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "names": list(self.names),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "sha256": self.sha256,
        }


def certificates_of(tls: ssl.SSLSocket) -> tuple[Certificate, ...]:
    """The certificates that the server sent, its own first."""
    return tuple(_read(octets) for octets in _sent(tls))


def expiry(certificate: Certificate, now: datetime | None = None) -> str:
    """Until when it is good, or since when it is not: `expires 2027-03-01 (in 98 days)`."""
    now = now or datetime.now(UTC)
    days = abs(certificate.not_after - now).days
    if certificate.not_before > now:
        return f"not valid before {certificate.not_before:%Y-%m-%d}"
    if certificate.not_after < now:
        return f"expired on {certificate.not_after:%Y-%m-%d} ({_days(days)} ago)"
    return f"expires {certificate.not_after:%Y-%m-%d} (in {_days(days)})"


def _days(number: int) -> str:
    return f"{number:,} {'day' if number == 1 else 'days'}"


def _sent(tls: ssl.SSLSocket) -> list[bytes]:
    """DER octets. The chain is public in Python 3.13; 3.11 and 3.12 have it one layer below."""
    if hasattr(tls, "get_unverified_chain"):
        return list(tls.get_unverified_chain())
    below = getattr(tls, "_sslobj", None)
    if below is not None and hasattr(below, "get_unverified_chain"):
        texts = [certificate.public_bytes() for certificate in below.get_unverified_chain() or ()]
        return [ssl.PEM_cert_to_DER_cert(text) for text in texts]
    own = tls.getpeercert(binary_form=True)
    return [own] if own else []


def certificate_in(file: Path) -> Certificate:
    """The first certificate of a PEM file; raises OSError, ValueError."""
    return _described(x509.load_pem_x509_certificates(file.read_bytes())[0])


def _read(octets: bytes) -> Certificate:
    return _described(x509.load_der_x509_certificate(octets))


def _described(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension that is not well-formed
        return ()
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)
