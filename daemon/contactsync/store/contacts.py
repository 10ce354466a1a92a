"""What is known of a definition's contacts before a run: their fingerprints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition

FINGERPRINT_BYTES = 16
_FINGERPRINT = re.compile(b".{%d}" % FINGERPRINT_BYTES, re.DOTALL)
"""Cuts the whole into pieces in one call: half the time of slices."""


@dataclass(frozen=True, slots=True)
class Known:
    """The fingerprints of all contacts that a definition brought, and the digest of the mapping that they went by.

    A fingerprint has 16 bytes, or 8 for a contact that a person edited since. The digest is None before the first run.
    """

    fingerprints: set[bytes]
    mapping_digest: bytes | None


def read_known(connection: Connection[Any], definition: Definition) -> Known:
    """What is known of a definition's contacts. Raises DatabaseError.

    The fingerprints come as one value, which takes a twentieth of the time of one row each.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
    with translated(), connection.cursor(binary=True) as cursor:
        row = cursor.execute(statement("known"), key).fetchone()
    whole, touched, digest = row or (b"", [], None)
    fingerprints = set(_FINGERPRINT.findall(whole))
    fingerprints.update(touched)
    return Known(fingerprints, digest)
