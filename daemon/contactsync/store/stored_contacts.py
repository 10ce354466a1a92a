"""What is known of a definition's contacts before a run: their fingerprints."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.fingerprints import Fingerprints
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


@dataclass(frozen=True, slots=True)
class StoredContacts:
    """The fingerprints of all contacts that a definition brought, and the digest of the mapping that they went by.

    A fingerprint has 16 bytes, or 8 for a contact that a person edited since. The digest is None before the first run.
    `departed` says whether there were other contacts, which get their ids back if they return. `ids` are those of the
    contacts, by the places of their fingerprints.
    """

    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    ids: array[int] = field(default_factory=partial(array, "q"))
    mapping_digest: bytes | None = None
    departed: bool = False

    def unmatched(self) -> Iterator[tuple[int, bytes]]:
        """The contacts whose fingerprints were not met, by their ids, each with its fingerprint."""
        return ((self.ids[place], fingerprint) for place, fingerprint in self.fingerprints)


def read_known(connection: Connection[Any], definition: Definition) -> StoredContacts:
    """What is known of a definition's contacts. Raises DatabaseError.

    The fingerprints come in pieces of many. One row each would take twenty times as long, and all as one value would
    take its size three times, once of it in a buffer that libpq keeps for as long as the connection lives.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
    with translated(), connection.cursor(binary=True) as cursor:
        rows = cursor.stream(statement("known"), key)
        piece, ids, touched, touched_ids, digest, departed = next(rows)
        places = array("q", ids)
        fingerprints = Fingerprints(chain([piece], _pieces(rows, places)), touched)
        if sys.byteorder == "little":
            places.byteswap()
        places.extend(touched_ids)
        return StoredContacts(fingerprints, places, digest, departed)


def _pieces(rows: Iterator[tuple[Any, ...]], places: array[int]) -> Iterator[bytes]:
    """The fingerprints of each row; its ids go to `places`."""
    for piece, ids, *_ in rows:
        places.frombytes(ids)
        yield piece
