"""Tells the entries that have not changed since the last run from the others, without decoding either."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

FINGERPRINT_BYTES = 16


class Recogniser:
    """Compares entries with the fingerprints that are stored with a folder's contacts.

    A fingerprint is BLAKE2b (RFC 7693) of an entry's octets, 16 bytes long, personalised by the mapping's digest: under
    a changed mapping every entry is new. `known` is taken over, not copied, since it may hold millions: it becomes
    `unseen`, and what that holds in the end is gone or changed.
    """

    def __init__(self, known: set[bytes], digest_of_mapping: bytes) -> None:
        self.unseen = known
        self.entries_seen = 0
        self.unchanged = 0
        self._digest_of_mapping = digest_of_mapping

    def sift(self, entries: Iterable[memoryview]) -> list[tuple[bytes, bytes]]:
        """The fingerprint and a copy of the octets of every entry that is not known; the known ones leave `unseen`.

        An entry that comes a second time is not known any more, so that duplicates are noticed.
        """
        unseen, person = self.unseen, self._digest_of_mapping
        unknown, seen = [], 0
        for entry in entries:
            seen += 1
            fingerprint = blake2b(entry, digest_size=FINGERPRINT_BYTES, person=person).digest()
            if fingerprint in unseen:
                unseen.remove(fingerprint)
            else:
                unknown.append((fingerprint, bytes(entry)))
        self.entries_seen += seen
        self.unchanged += seen - len(unknown)
        return unknown
