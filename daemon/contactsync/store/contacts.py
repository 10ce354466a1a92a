"""What is known of a definition's contacts before a run: their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition

FINGERPRINT_BYTES = 16


def read_fingerprints(connection: Connection[Any], definition: Definition) -> set[bytes]:
    """The fingerprints of all contacts that the definition brought: 16 bytes each, 8 for one that a person edited.

    They come as one value, which takes a twentieth of the time of one row each. Raises DatabaseError.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
    with translated(), connection.cursor(binary=True) as cursor:
        row = cursor.execute(statement("fingerprints"), key).fetchone()
        whole: bytes = row[0] if row else b""
        known = {whole[at : at + FINGERPRINT_BYTES] for at in range(0, len(whole), FINGERPRINT_BYTES)}
        known.update(touched for (touched,) in cursor.execute(statement("touched_fingerprints"), key))
    return known
