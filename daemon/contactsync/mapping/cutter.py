"""Cuts many entries into the raw values of wanted attributes, each value at a place of its own; decodes none of them.

By hand, because a first load waits for it. An attribute with one value of at most 127 octets, which nearly every
attribute is, is recognised by all the octets before its value at once: they hold its description and all its lengths.
Every other form goes the plain way, and the work grows with the octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contactsync.ldap.protocol.ber import LONG_FORM, not_ldap
from contactsync.ldap.protocol.entry import attribute_at, open_entry, without_range

SHORT = LONG_FORM - 1
"""The longest value, in octets, that comes in a column; a longer one is among the rest."""

_HEADERS = 8
"""Octets of tags and lengths before the value of an attribute that has one value and only one-octet lengths."""
_MOST_FAMILIAR = 8192


class ParsedBatch:
    """What is in some entries, row by row in their order, and attribute by attribute in the order of `EntryParser`'s.

    `dns` are raw. `rest` has, by row and by attribute, the values of those that have several or a long one.
    """

    def __init__(self, width: int) -> None:
        self.dns: list[bytes] = []
        self.cells: list[bytes] = []
        self.rest: dict[int, dict[int, list[bytes]]] = {}
        self._width = width

    def column(self, attribute: int) -> list[bytes]:
        """The one short value that each entry has of an attribute; empty where it has none, and where it has more."""
        return self.cells[attribute :: self._width]

    def values(self, row: int, attribute: int) -> list[bytes]:
        """All values that one entry has of an attribute."""
        cell = self.cells[row * self._width + attribute]
        return self.rest.get(row, {}).get(attribute) or ([cell] if cell else [])

    def exceptional_rows(self, attributes: Iterable[int]) -> set[int]:
        """The rows that `column` does not tell all about, for one of these attributes."""
        wanted = set(attributes)
        return {row for row, found in self.rest.items() if not wanted.isdisjoint(found)}

    def drop(self, rows: Sequence[int]) -> None:
        """Take out some rows, given in rising order; those behind them move up."""
        for row in reversed(rows):
            del self.dns[row]
            del self.cells[row * self._width : (row + 1) * self._width]
        gone = set(rows)
        kept = [row for row in range(len(self.dns) + len(rows)) if row not in gone]
        self.rest = {now: self.rest[before] for now, before in enumerate(kept) if before in self.rest}


class EntryParser:
    """Knows the wanted attributes by their descriptions in lower case; remembers the headers of those it met."""

    def __init__(self, attributes: Sequence[str]) -> None:
        self._places = {attribute: place for place, attribute in enumerate(attributes)}
        self._familiar: dict[bytes, int] = {}

    def cut(self, entries: Iterable[bytes]) -> ParsedBatch:
        """Cut protocolOps, each with its tag and length, none with trailing octets. Raises ProtocolViolation."""
        cut = ParsedBatch(len(self._places))
        try:
            for row, data in enumerate(entries):
                dn, first, end = open_entry(data)
                rest: dict[int, list[bytes]] = {}
                cells = self._cells(data, first, end, rest)
                if rest:
                    cut.rest[row] = rest
                cut.dns.append(dn)
                cut.cells += cells
        except IndexError:
            raise not_ldap("an attribute is cut off") from None
        return cut

    def _cells(self, data: bytes, pos: int, end: int, rest: dict[int, list[bytes]]) -> list[bytes]:
        """The only short values of an entry at their places; all others go to `rest`. IndexError for cut-off octets."""
        cells = [b""] * len(self._places)
        known_headers = self._familiar
        while pos < end:
            value = pos + _HEADERS + data[pos + 3]
            try:
                place = known_headers[data[pos:value]]
            except KeyError:
                place = -1
            if place < 0 or cells[place]:
                pos = self._unfamiliar(data, pos, end, cells, rest)
                continue
            pos += 2 + data[pos + 1]
            cells[place] = data[value:pos]
        if pos > end:
            raise not_ldap("an attribute is longer than its entry")
        if rest:
            _gather(cells, rest)
        return cells

    def _unfamiliar(self, data: bytes, first: int, end: int, cells: list[bytes], rest: dict[int, list[bytes]]) -> int:
        """Take the attribute at `first`, in whatever form it is encoded, and return where the next one starts."""
        description, values, stop = attribute_at(data, first, end)
        place = self._places.get(without_range(description))
        if place is None or not values:
            return stop
        if len(values) > 1 or not 0 < len(values[0]) <= SHORT or cells[place] or place in rest:
            rest.setdefault(place, []).extend(values)
            return stop
        cells[place] = values[0]
        value = stop - len(values[0])
        short = data[first + 1] < LONG_FORM and stop == first + 2 + data[first + 1]
        if short and value == first + _HEADERS + data[first + 3]:
            self._remember(data[first:value], place)
        return stop

    def _remember(self, header: bytes, place: int) -> None:
        """Make the octets before an only value familiar; forget the others when a server has no end of them."""
        if len(self._familiar) >= _MOST_FAMILIAR:
            self._familiar.clear()
        self._familiar[header] = place


def _gather(cells: list[bytes], rest: dict[int, list[bytes]]) -> None:
    """All values of an attribute that came in more than one piece belong together."""
    for place, values in rest.items():
        if cells[place]:
            values.append(cells[place])
            cells[place] = b""
