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


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the PEM files of a server or a client lie: `authority` is what the other side has to trust."""

    authority: Path
    certificate: Path
    key: Path


class Authority:
    """An authority that is made anew; its key stays in memory."""

    def __init__(self) -> None:
        self._key = _new_key()
        self._name = _common_name("contactsync private authority")
        builder = _certificate(self._name, self._key, self._name, self._key, timedelta(days=365), ca=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    def issue_to_server(
        self, directory: Path, *, names: Sequence[str] = LOCAL_NAMES, expires: timedelta = timedelta(days=365)
    ) -> CertificateFiles:
        """Write ca.crt, server.crt and server.key for `names` (DNS names and IP addresses) to `directory`.

        `expires` counts from now; a negative one gives a certificate that has already expired.
        """
        key = _new_key()
        builder = _certificate(_common_name(names[0]), key, self._name, self._key, expires, ca=False)
        return self._write(directory, "server", _made_out_to(builder, names).sign(self._key, hashes.SHA256()), key)

    def issue_to_client(
        self, directory: Path, name: str, *, expires: timedelta = timedelta(days=365)
    ) -> CertificateFiles:
        """Write ca.crt, client.crt and client.key, made out to somebody (CN=name), to `directory`."""
        key = _new_key()
        builder = _certificate(_common_name(name), key, self._name, self._key, expires, ca=False)
        return self._write(directory, "client", builder.sign(self._key, hashes.SHA256()), key)

    def _write(
        self, directory: Path, whose: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> CertificateFiles:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = CertificateFiles(directory / "ca.crt", directory / f"{whose}.crt", directory / f"{whose}.key")
        files.authority.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        _write_pair(files, certificate, key)
        return files


def make_certificates(
    directory: Path, *, names: Sequence[str] = LOCAL_NAMES, expires: timedelta = timedelta(days=365)
) -> CertificateFiles:
    """Write a new authority and a server certificate from it, as `Authority.issue_to_server` does."""
    return Authority().issue_to_server(directory, names=names, expires=expires)


def make_self_signed(directory: Path, *, names: Sequence[str] = LOCAL_NAMES) -> CertificateFiles:
    """Write a server certificate for `names` that nobody but itself vouches for; `authority` is the same file."""
    key, name = _new_key(), _common_name(names[0])
    builder = _certificate(name, key, name, key, timedelta(days=365), ca=False)
    files = CertificateFiles(directory / "server.crt", directory / "server.crt", directory / "server.key")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_pair(files, _made_out_to(builder, names).sign(key, hashes.SHA256()), key)
    return files


def _write_pair(files: CertificateFiles, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.touch(mode=0o600)
    form = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _made_out_to(builder: x509.CertificateBuilder, names: Sequence[str]) -> x509.CertificateBuilder:
    return builder.add_extension(x509.SubjectAlternativeName(list(map(_alternative, names))), critical=False)


def _certificate(
    subject: x509.Name,
    subject_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    expires: timedelta,
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(subject_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + expires)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject_key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(_key_usage(ca=ca), critical=True)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
