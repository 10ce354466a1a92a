"""The stored contacts of a definition before a run: fingerprints in little memory, and which of them a run matched."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from itertools import chain
from struct import unpack
from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from psycopg import Connection

    from contactsync.model import Definition

FINGERPRINT_BYTES = 16

_BUCKET = 16
"""Fingerprints per bucket, about. Half as many are not faster, many more are slower."""
_HEAD_BITS = 16


class StoredContacts:
    """The contacts of a definition: 17 bytes for each fingerprint, and at most half a megabyte more.

    `pieces` are the fingerprints of 16 bytes in ascending order, cut anywhere. Since they are hashes, their first bits
    select a small bucket. `edited` are shorter fingerprints, of contacts that a person edited since the last run; they
    match no entry. `ids` are the contacts' ids in the same order (by default 0, 1, ...).
    `mapping_digest` is None before the first run. `departed` says whether contacts of the definition have left, which
    get their ids back when they return. `len` is the number of contacts that are not matched yet.
    """

    def __init__(
        self,
        pieces: Iterable[bytes] = (),
        edited: Iterable[bytes] = (),
        *,
        ids: Sequence[int] | None = None,
        mapping_digest: bytes | None = None,
        departed: bool = False,
    ) -> None:
        self._fingerprints = bytearray()
        for piece in pieces:  # joining the pieces would need the memory twice
            self._fingerprints += piece
        self._edited = list(edited)
        count = len(self._fingerprints) // FINGERPRINT_BYTES
        self.ids = range(count + len(self._edited)) if ids is None else ids
        self.mapping_digest = mapping_digest
        self.departed = departed
        self._matched = bytearray(count)
        self._unmatched = count + len(self._edited)
        self._shift = _HEAD_BITS - min(_HEAD_BITS, (count // _BUCKET).bit_length())
        self._starts = array("L", self._bucket_starts(1 << self._shift))
        self._starts.append(len(self._fingerprints))

    def __len__(self) -> int:
        return self._unmatched

    def match(self, fingerprints: Sequence[bytes]) -> Sequence[int]:
        """The ascending indexes of those that match no contact; a contact is matched once only."""
        if not self._unmatched:
            return range(len(fingerprints))
        # One loop with local names: every entry of every run passes here.
        starts, shift, find, matched = self._starts, self._shift, self._fingerprints.find, self._matched
        heads = unpack(">" + "H14x" * len(fingerprints), b"".join(fingerprints))
        others = []
        for index, (fingerprint, head) in enumerate(zip(fingerprints, heads, strict=True)):
            bucket = head >> shift
            at = find(fingerprint, starts[bucket], starts[bucket + 1])
            while at % FINGERPRINT_BYTES and at >= 0:  # found across two neighbours
                at = find(fingerprint, at + 1, starts[bucket + 1])
            row = at // FINGERPRINT_BYTES
            if at < 0 or matched[row]:
                others.append(index)
            else:
                matched[row] = 1
        self._unmatched -= len(fingerprints) - len(others)
        return others

    def unmatched(self) -> Iterator[tuple[int, bytes]]:
        """The id and the fingerprint of each contact that is not matched yet."""
        row = self._matched.find(0)
        while row >= 0:
            yield self.ids[row], bytes(self._fingerprints[row * FINGERPRINT_BYTES : (row + 1) * FINGERPRINT_BYTES])
            row = self._matched.find(0, row + 1)
        for row, fingerprint in enumerate(self._edited, len(self._matched)):
            yield self.ids[row], fingerprint

    def _bucket_starts(self, width: int) -> Iterator[int]:
        """The offset of each bucket, in bytes; a bucket spans `width` values of the first two bytes."""
        firsts = self._fingerprints[::FINGERPRINT_BYTES]
        stop = 0
        for first in range(0, 256, max(1, width >> 8)):
            start, stop = stop, bisect_left(firsts, first + max(1, width >> 8), stop)
            if width >= 1 << 8:
                yield start * FINGERPRINT_BYTES
                continue
            seconds = self._fingerprints[start * FINGERPRINT_BYTES + 1 : stop * FINGERPRINT_BYTES : FINGERPRINT_BYTES]
            for second in range(0, 256, width):
                yield (start + bisect_left(seconds, second)) * FINGERPRINT_BYTES


def read_stored_contacts(connection: Connection[Any], definition: Definition, *, few: bool = False) -> StoredContacts:
    """The contacts of a definition. Raises DatabaseError.

    With `few` all rows come at once, which takes fewer round trips. Otherwise the fingerprints arrive in large pieces.
    One row for each takes twenty times as long. All in one value need three times the memory, once in a buffer that
    libpq keeps until the connection closes.
    """
    with translated(), connection.cursor(binary=True) as cursor:
        query, key = statement("stored_contacts"), definition.key
        rows = iter(cursor.execute(query, key).fetchall()) if few else cursor.stream(query, key)
        piece, first_ids, edited, edited_ids, mapping_digest, departed = next(rows)
        ids = array("q", first_ids)
        pieces = chain([piece], _pieces(rows, ids))
        stored = StoredContacts(pieces, edited, ids=ids, mapping_digest=mapping_digest, departed=departed)
    if sys.byteorder == "little":
        ids.byteswap()
    ids.extend(edited_ids)
    return stored


def _pieces(rows: Iterator[tuple[Any, ...]], ids: array[int]) -> Iterator[bytes]:
    for piece, more_ids, *_ in rows:
        ids.frombytes(more_ids)
        yield piece
