"""What is known of a definition's contacts before a run: their fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from contactsync.fingerprints import Fingerprints
from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


@dataclass(frozen=True, slots=True)
class Known:
    """The fingerprints of all contacts that a definition brought, and the digest of the mapping that they went by.

    A fingerprint has 16 bytes, or 8 for a contact that a person edited since. The digest is None before the first run.
    `departed` says whether there were others, which get their ids back if they return.
    """

    fingerprints: Fingerprints
    mapping_digest: bytes | None
    departed: bool


def read_known(connection: Connection[Any], definition: Definition) -> Known:
    """What is known of a definition's contacts. Raises DatabaseError.

    The fingerprints come in pieces of many. One row each would take twenty times as long, and all as one value would
    take its size three times, once of it in a buffer that libpq keeps for as long as the connection lives.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
    with translated(), connection.cursor(binary=True) as cursor:
        rows = cursor.stream(statement("known"), key)
        piece, touched, digest, departed = next(rows)
        return Known(Fingerprints(chain([piece], map(itemgetter(0), rows)), touched), digest, departed)
