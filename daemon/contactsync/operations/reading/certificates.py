"""The certificates that the daemon and its definitions use, and when they expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from contactsync.serving.certificates import CertificateInUse, of_daemon, read
from contactsync.store.definitions import read_trust

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.settings.schema import Settings


class Certificates(BaseModel):
    """Files and texts with certificates: first those of the settings, then those of definitions."""

    certificates: list[CertificateInUse]


def certificates(connection: Connection[Any], settings: Settings) -> Certificates:
    """What the settings and the definitions name; the files are read now. Raises DatabaseError."""
    used = of_daemon(settings)
    for row in read_trust(connection):
        text = row.pop("value")
        file = None if row["used_by"].endswith("_pem") else text
        used.append(read(CertificateInUse(file=file, **row), text))
    return Certificates(certificates=used)
