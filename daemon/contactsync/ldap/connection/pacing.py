"""How long octets may pile up before the next look at what comes from a server.

A server that writes entry by entry would wake us for each, and that costs it and us more than the entry: without any
sleep a search of 100,000 entries took a fifth longer, measured over loopback with pages of 1,000. To sleep past the end
of a page costs as much again, and so does to leave so much lying that the server finds no room for more.
"""

from __future__ import annotations

from time import perf_counter

_FEW = 60
"""Entries: with less here it may be all there is."""
_LAST = 200
"""Entries of a page that are looked for as they come: the pace is an average, and the next page waits for their end."""
_HELD_OCTETS = 48 << 10
"""What may pile up. Linux begins with room for 128 KiB, in which an entry that comes alone takes more than itself."""
_SHORTEST, _LONGEST = 0.0002, 0.005
_FIRST = 0.0005
"""Seconds; the last as long as nothing is known of the pace."""
_MEMORY = 2_000
"""Entries after which the older ones begin to count less."""


class Pacing:
    """How fast the entries of a connection's searches have come, by what each look brought."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._entries = 0.0
        self._octets = 0.0
        self._looked_at: float | None = None

    def begin(self) -> None:
        """What comes next may have waited for us: the first look says nothing."""
        self._looked_at = None

    def looked(self, entries: int, octets: int) -> None:
        """One look brought so many entries, in so many octets."""
        now = perf_counter()
        if self._looked_at is not None:
            kept = 0.5 if self._entries > _MEMORY else 1.0
            self._seconds = kept * self._seconds + now - self._looked_at
            self._entries = kept * self._entries + entries
            self._octets = kept * self._octets + octets
        self._looked_at = now

    def lull(self, here: int, left: int) -> float:
        """Seconds not to look, with so many entries here and at most so many to come; 0 when that does not pay."""
        left -= _LAST
        if here < _FEW or left < _FEW:
            return 0.0
        if self._entries < _FEW:
            return _FIRST
        seconds = self._seconds * min(left / self._entries, _HELD_OCTETS / self._octets)
        return min(seconds, _LONGEST) if seconds >= _SHORTEST else 0.0
