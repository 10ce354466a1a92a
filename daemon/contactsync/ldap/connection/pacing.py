"""How long to let octets accumulate before the next receive.

A server that writes entry by entry wakes us for each, which costs both sides more than the entry. Without pauses a
search of 100,000 entries took a fifth longer (over loopback, pages of 1,000). A pause past the end of a page costs as
much, and so does one in which the socket's buffer fills up.
"""

from __future__ import annotations

from time import perf_counter

_MARGIN = 80
"""Entries for which there is no pause at the beginning of a page, which may be all, and twice that at its end."""
_MOST_OCTETS = 48 << 10
"""Octets that may accumulate. Linux begins with a receive buffer of 128 KiB, overhead included."""
_SHORTEST, _LONGEST = 0.0002, 0.005
_DECAY = 0.96
"""The weight of what was measured, after each receive."""


class Pacing:
    """Measures how fast the entries of a connection's searches come, and derives pauses from it."""

    def __init__(self) -> None:
        self._seconds = self._entries = self._octets = 0.0
        self._expected = 0
        self._entries_before = 0
        self._received_at: float | None = None

    def begin(self, expected: int) -> None:
        """Begin a read of at most `expected` entries; the time before its first receive is not measured."""
        self._expected = expected
        self._received_at = None

    def pause(self, entries: int, octets: int) -> float:
        """Seconds to wait before the next receive; 0.0 for none.

        The read has brought `entries` so far, and the last receive `octets` (0 before the first).
        """
        if octets:
            self._measure(entries - self._entries_before, octets)
        self._entries_before = entries
        left = self._expected - entries - 2 * _MARGIN
        if entries < _MARGIN or left < _MARGIN:
            return 0.0
        if self._entries < _MARGIN:
            return _SHORTEST
        seconds = self._seconds * min(left / self._entries, _MOST_OCTETS / self._octets)
        return min(seconds, _LONGEST) if seconds >= _SHORTEST else 0.0

    def _measure(self, entries: int, octets: int) -> None:
        now = perf_counter()
        if self._received_at is not None:
            self._seconds = _DECAY * self._seconds + now - self._received_at
            self._entries = _DECAY * self._entries + entries
            self._octets = _DECAY * self._octets + octets
        self._received_at = now
