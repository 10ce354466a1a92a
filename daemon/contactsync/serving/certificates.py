"""The certificates in files that the settings and the definitions name, and when they expire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from errno import EFBIG, EINVAL
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from contactsync.settings.schema import Settings

SOON = timedelta(days=30)
_MOST_OCTETS = 8 << 20
"""The authorities of a Debian take a quarter of a megabyte."""
_OF_DAEMON = ("api.tls_certificate", "api.tls_client_ca", "metrics.tls_certificate", "metrics.tls_client_ca")
_OF_CONSOLE = ("web.tls_certificate", "sign_in.ca_file", "sign_in.oidc_ca_file")
_OWN = ("tls_certificate", "tls_client_cert")
"""Settings and fields whose file begins with the certificate of a server or client. Others have authorities."""


class CertificateInUse(BaseModel):
    """A file with certificates, or a text with them."""

    used_by: str = Field(description="The setting or the field of definitions.", examples=["api.tls_certificate"])
    file: str | None = Field(description="Null for the text of `tls_ca_pem`.")
    definitions: int = Field(0, description="How many definitions have it; 0 for a setting.")
    labels: list[str] = Field(default=[], description="The first of these definitions.")
    certificates: int = Field(0, description="How many are in it.")
    subject: str | None = None
    expires_at: datetime | None = Field(None, description="Of authorities, the end of the one that is valid longest.")
    problem: str | None = Field(None, description="Why it cannot be read.")
    attention: bool = Field(default=False, description="It expires within 30 days, has expired, or cannot be read.")


def of_daemon(settings: Settings) -> list[CertificateInUse]:
    """The certificates that the daemon's settings name."""
    return list(_of_settings(settings, _OF_DAEMON))


def of_console(settings: Settings) -> list[CertificateInUse]:
    """The certificates that the settings of the web console name."""
    return list(_of_settings(settings, _OF_CONSOLE))


def _of_settings(settings: Settings, names: tuple[str, ...]) -> Iterator[CertificateInUse]:
    for name in names:
        section, _, key = name.partition(".")
        if file := getattr(getattr(settings, section), key):
            yield read(CertificateInUse(used_by=name, file=file))


def read(used: CertificateInUse, text: str = "") -> CertificateInUse:
    """The same with what is in the file, or in the text if there is no file."""
    try:
        octets = text.encode() if used.file is None else _content(Path(used.file))
    except OSError as error:
        return _unusable(used, f"{used.file} cannot be read: {error.strerror}.")
    from cryptography import x509  # noqa: PLC0415 -- eight megabytes, which only this needs

    try:
        found = x509.load_pem_x509_certificates(octets)
    except ValueError:
        return _unusable(used, f"{used.file or 'The text'} holds no certificates in PEM form.")
    is_own = used.used_by.rpartition(".")[2] in _OWN
    chosen = found[0] if is_own else max(found, key=lambda each: each.not_valid_after_utc)
    expires_at = chosen.not_valid_after_utc
    known = {"certificates": len(found), "subject": _subject(chosen), "expires_at": expires_at}
    return used.model_copy(update={**known, "attention": expires_at < datetime.now(UTC) + SOON})


def _content(file: Path) -> bytes:
    """The octets of a regular file. Raises OSError, also for a pipe or a device, which might never end."""
    if file.exists() and not file.is_file():
        raise OSError(EINVAL, "it is no regular file")
    with file.open("rb") as stream:
        octets = stream.read(_MOST_OCTETS + 1)
    if len(octets) > _MOST_OCTETS:
        raise OSError(EFBIG, "it is larger than 8 MB")
    return octets


def _unusable(used: CertificateInUse, problem: str) -> CertificateInUse:
    return used.model_copy(update={"problem": problem, "attention": True})


def _subject(certificate: Certificate) -> str:
    """The distinguished name, in one printable line."""
    return "".join(each if each.isprintable() else "?" for each in certificate.subject.rfc4514_string())
