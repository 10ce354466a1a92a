"""The fingerprints of a folder's contacts, kept small, and which of them a run has met."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from struct import unpack

FINGERPRINT_BYTES = 16

_BUCKET = 16
"""About how many fingerprints are looked through for one; half as many gain nothing, and many more take longer."""
_HEAD_BITS = 16


class Fingerprints:
    """Seventeen octets for each fingerprint, and at most half a megabyte more; a set of bytes takes over a hundred.

    `pieces` are whole fingerprints of 16 bytes, all in rising order, cut anywhere. They are parts of a hash, so that
    their first bits tell where to look: in a bucket that holds few of them. `others`, of other lengths, equal no
    fingerprint of an entry and are never met. Iterating gives those that were not met yet, each after its place among
    all, of which the others are the last; `len` is their number.
    """

    def __init__(self, pieces: Iterable[bytes] = (), others: Iterable[bytes] = ()) -> None:
        self._whole = bytearray()  # grows in place, where joining would hold all of it twice
        for piece in pieces:
            self._whole += piece
        self._others = list(others)
        known = len(self._whole) // FINGERPRINT_BYTES
        self._met = bytearray(known)
        self._left = known + len(self._others)
        self._shift = _HEAD_BITS - min(_HEAD_BITS, (known // _BUCKET).bit_length())
        self._starts = array("L", self._buckets(1 << self._shift))
        self._starts.append(len(self._whole))

    def __len__(self) -> int:
        return self._left

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        row = self._met.find(0)
        while row >= 0:
            yield row, bytes(self._whole[row * FINGERPRINT_BYTES : (row + 1) * FINGERPRINT_BYTES])
            row = self._met.find(0, row + 1)
        yield from enumerate(self._others, len(self._met))

    def match(self, fingerprints: Sequence[bytes]) -> Sequence[int]:
        """The places of those that are not known, in rising order; one that was met before is not known any more.

        In one loop because every entry of every run passes here.
        """
        if not self._left:
            return range(len(fingerprints))
        starts, shift, find, met = self._starts, self._shift, self._whole.find, self._met
        heads = unpack(">" + "H14x" * len(fingerprints), b"".join(fingerprints))
        unknown = []
        for place, (fingerprint, head) in enumerate(zip(fingerprints, heads, strict=True)):
            bucket = head >> shift
            at = find(fingerprint, starts[bucket], starts[bucket + 1])
            while at % FINGERPRINT_BYTES and at >= 0:  # the end of one and the beginning of the next
                at = find(fingerprint, at + 1, starts[bucket + 1])
            row = at // FINGERPRINT_BYTES
            if at < 0 or met[row]:
                unknown.append(place)
            else:
                met[row] = 1
        self._left -= len(fingerprints) - len(unknown)
        return unknown

    def _buckets(self, width: int) -> Iterator[int]:
        """Where in the whole each bucket starts: those of so many values of the first two octets, in octets."""
        firsts = self._whole[::FINGERPRINT_BYTES]
        stop = 0
        for first in range(0, 256, max(1, width >> 8)):
            start, stop = stop, bisect_left(firsts, first + max(1, width >> 8), stop)
            if width >= 1 << 8:
                yield start * FINGERPRINT_BYTES
                continue
            seconds = self._whole[start * FINGERPRINT_BYTES + 1 : stop * FINGERPRINT_BYTES : FINGERPRINT_BYTES]
            for second in range(0, 256, width):
                yield (start + bisect_left(seconds, second)) * FINGERPRINT_BYTES
