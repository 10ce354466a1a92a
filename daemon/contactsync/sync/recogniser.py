"""Tells the entries that have not changed since the last run from the others, without decoding either."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from contactsync.store.fingerprints import FINGERPRINT_BYTES, Fingerprints

_LOT_ENTRIES = 1000
_LOT_OCTETS = 1 << 20


class Batch:
    """Entries put aside until there are so many that mapping and staging them together pays; bounded in octets too."""

    def __init__(self) -> None:
        self._entries: list[tuple[bytes, bytes]] = []
        self._octets = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def full(self) -> bool:
        """Whether it is time to take them."""
        return len(self._entries) >= _LOT_ENTRIES or self._octets >= _LOT_OCTETS

    def add(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Put some more aside, each as its fingerprint and its octets."""
        self._entries += entries
        self._octets += sum(len(octets) for _, octets in entries)

    def take(self) -> list[tuple[bytes, bytes]]:
        """All of them, in the order in which they came."""
        taken, self._entries, self._octets = self._entries, [], 0
        return taken


class Recogniser:
    """Compares entries with the fingerprints that are stored with a folder's contacts.

    A fingerprint is BLAKE2b (RFC 7693) of an entry's octets, 16 bytes long, personalised by a digest of what makes the
    key: under another identity every entry is new. `known` is taken over, not copied, since it may hold millions: it
    becomes `unmatched`, and what was not met of it in the end is gone or changed.

    `everything` hands out the known entries as well: the mapping has changed since they were mapped.
    """

    def __init__(self, known: Fingerprints, identity_digest: bytes, *, everything: bool = False) -> None:
        self.unmatched = known
        self.entries_seen = 0
        self.unchanged = 0
        # A copy of a hash that is set up costs two thirds of setting up another.
        self._fresh = blake2b(digest_size=FINGERPRINT_BYTES, person=identity_digest).copy
        self._everything = everything

    def sift(self, entries: Sequence[memoryview | bytes]) -> list[tuple[bytes, bytes]]:
        """The fingerprint and a copy of the octets of every entry that is not known; the others leave `unmatched`.

        An entry that comes a second time is not known any more, so that duplicates are noticed.
        """
        fresh, fingerprints = self._fresh, []
        for entry in entries:
            hasher = fresh()
            hasher.update(entry)
            fingerprints.append(hasher.digest())
        unknown = self.unmatched.match(fingerprints)
        if self._everything:
            unknown = range(len(entries))
        self.entries_seen += len(entries)
        self.unchanged += len(entries) - len(unknown)
        return [(fingerprints[place], bytes(entries[place])) for place in unknown]
