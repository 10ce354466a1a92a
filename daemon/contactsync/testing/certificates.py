"""Certificates for a private directory server and its clients, from an authority of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files of a server or a client; the other side must trust `authority`."""

    authority: Path
    certificate: Path
    key: Path


class Authority:
    """A new certificate authority, with its key in memory."""

    def __init__(self) -> None:
        self._key = _new_key()
        self._name = "contactsync private authority"
        self._certificate = _sign(self._name, self._key, self._name, self._key, expires=_YEAR, ca=True)

    def issue_to_server(
        self, directory: Path, *, names: Sequence[str] = LOCAL_NAMES, expires: timedelta = _YEAR
    ) -> CertificateFiles:
        """Write ca.crt, server.crt and server.key for `names` (DNS names and IP addresses) to `directory`.

        `expires` counts from now; a negative one gives a certificate that has already expired.
        """
        return self._issue(directory, "server", names[0], names, expires)

    def issue_to_client(self, directory: Path, name: str, *, expires: timedelta = _YEAR) -> CertificateFiles:
        """Write ca.crt, client.crt and client.key for the subject CN=name to `directory`."""
        return self._issue(directory, "client", name, (), expires)

    def _issue(
        self, directory: Path, file: str, subject: str, names: Sequence[str], expires: timedelta
    ) -> CertificateFiles:
        key = _new_key()
        certificate = _sign(subject, key, self._name, self._key, names=names, expires=expires)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = directory / "ca.crt"
        authority.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return CertificateFiles(authority, *_write(directory, file, certificate, key))


def make_certificates(
    directory: Path, *, names: Sequence[str] = LOCAL_NAMES, expires: timedelta = _YEAR
) -> CertificateFiles:
    """Write a new authority and a server certificate from it, as `Authority.issue_to_server` does."""
    return Authority().issue_to_server(directory, names=names, expires=expires)


def make_self_signed(directory: Path, *, names: Sequence[str] = LOCAL_NAMES) -> CertificateFiles:
    """Write a self-signed server certificate for `names`; `authority` is the same file."""
    key = _new_key()
    certificate = _sign(names[0], key, names[0], key, names=names, expires=_YEAR)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file, key_file = _write(directory, "server", certificate, key)
    return CertificateFiles(file, file, key_file)


def _write(
    directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    file, key_file = directory / f"{name}.crt", directory / f"{name}.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return file, key_file


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _sign(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    expires: timedelta,
    names: Sequence[str] = (),
    ca: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    no = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    usage = dict.fromkeys((*no, "decipher_only"), False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_common_name(subject))
        .issuer_name(_common_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + expires)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_alternative, names))), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
