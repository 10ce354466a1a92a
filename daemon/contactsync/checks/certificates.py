"""Certificates (RFC 5280) of servers and clients: names, dates and fingerprints."""

from __future__ import annotations

import ssl
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from contactsync.model import CERTIFICATE_WARNING
from contactsync.text import counted


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate; `names` are the DNS names and IP addresses that it is valid for."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    sha256: str

    @property
    def self_issued(self) -> bool:
        """Whether it is a root certificate or a self-signed one."""
        return self.subject == self.issuer

    def expires_soon(self, now: datetime) -> bool:
        """Whether it expires within CERTIFICATE_WARNING."""
        return self.not_after - now < CERTIFICATE_WARNING

    def data(self) -> dict[str, Any]:
        """For JSON; times are ISO 8601."""
        return asdict(self) | {
            "names": list(self.names),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
        }


def certificates_of(tls: ssl.SSLSocket) -> tuple[Certificate, ...]:
    """The certificates that the server sent, its own first."""
    return tuple(_certificate(x509.load_der_x509_certificate(octets)) for octets in _chain(tls))


def certificate_in(file: Path) -> Certificate:
    """The first certificate of a PEM file; raises OSError, ValueError."""
    return _certificate(x509.load_pem_x509_certificates(file.read_bytes())[0])


def expiry(certificate: Certificate, now: datetime | None = None) -> str:
    """When it expires or expired, or when it becomes valid: `expires 2027-03-01 (in 98 days)`."""
    now = now or datetime.now(UTC)
    days = counted(abs(certificate.not_after - now).days, "day")
    if certificate.not_before > now:
        return f"not valid before {certificate.not_before:%Y-%m-%d}"
    if certificate.not_after < now:
        return f"expired on {certificate.not_after:%Y-%m-%d} ({days} ago)"
    return f"expires {certificate.not_after:%Y-%m-%d} (in {days})"


def _chain(tls: ssl.SSLSocket) -> list[bytes]:
    """DER octets. The chain is public in Python 3.13; 3.11 and 3.12 have it in a private object."""
    if hasattr(tls, "get_unverified_chain"):
        return list(tls.get_unverified_chain())
    private = getattr(tls, "_sslobj", None)
    if private is not None and hasattr(private, "get_unverified_chain"):
        texts = [certificate.public_bytes() for certificate in private.get_unverified_chain() or ()]
        return [ssl.PEM_cert_to_DER_cert(text) for text in texts]
    own = tls.getpeercert(binary_form=True)
    return [own] if own else []


def _certificate(certificate: x509.Certificate) -> Certificate:
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
