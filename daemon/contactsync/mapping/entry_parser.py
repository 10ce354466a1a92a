"""Parses a batch of entries into the raw values of the wanted attributes; decodes no value.

This is written for speed. Nearly every attribute has one value of at most 127 octets. The octets before such a value
hold its description and all lengths, so that one look-up of these octets (the header) finds the attribute. Any other
encoding is parsed by `attribute_at`. The work is linear in the octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contactsync.ldap.protocol.ber import LONG_FORM, not_ldap
from contactsync.ldap.protocol.entry import attribute_at, open_entry, without_range

SHORT = LONG_FORM - 1
"""Octets of the longest value in a column; a longer one is in `multi_values`."""

_HEADER_BYTES = 8
"""Octets of tags and lengths in the header of an attribute with one value and one-octet lengths."""
_MAX_KNOWN_HEADERS = 8192


class ParsedBatch:
    """The values of a batch: a row for each entry, a column for each attribute of the EntryParser.

    `dns` are raw. An attribute with one short value is in `single_values`, row after row, with b"" for any other.
    Attributes with several values or a long one are in `multi_values`, by row and by column.
    """

    def __init__(self, width: int) -> None:
        self.dns: list[bytes] = []
        self.single_values: list[bytes] = []
        self.multi_values: dict[int, dict[int, list[bytes]]] = {}
        self._width = width

    def column(self, column: int) -> list[bytes]:
        """The only short value of each row; b"" where there is none and where there are others."""
        return self.single_values[column :: self._width]

    def values(self, row: int, column: int) -> list[bytes]:
        """All values of an attribute in a row."""
        value = self.single_values[row * self._width + column]
        return self.multi_values.get(row, {}).get(column) or ([value] if value else [])

    def exceptional_rows(self, columns: Iterable[int]) -> set[int]:
        """The rows with `multi_values` in one of these columns."""
        wanted = set(columns)
        return {row for row, values in self.multi_values.items() if not wanted.isdisjoint(values)}


class EntryParser:
    """Parses batches for some attributes, given in lower case. It remembers the headers it has seen."""

    def __init__(self, attributes: Sequence[str]) -> None:
        self._columns = {attribute: column for column, attribute in enumerate(attributes)}
        self._known_headers: dict[bytes, int] = {}

    def parse(self, entries: Iterable[bytes]) -> ParsedBatch:
        """Parse protocolOps, each with its tag and length and without trailing octets. Raises ProtocolViolation."""
        parsed = ParsedBatch(len(self._columns))
        try:
            for row, data in enumerate(entries):
                dn, first, end = open_entry(data)
                multi_values: dict[int, list[bytes]] = {}
                single_values = self._values(data, first, end, multi_values)
                if multi_values:
                    parsed.multi_values[row] = multi_values
                parsed.dns.append(dn)
                parsed.single_values += single_values
        except IndexError:
            raise not_ldap("an attribute is cut off") from None
        return parsed

    def _values(self, data: bytes, pos: int, end: int, multi_values: dict[int, list[bytes]]) -> list[bytes]:
        """The single values of an entry; the others go to `multi_values`. Raises IndexError if octets are missing."""
        single_values = [b""] * len(self._columns)
        known_headers = self._known_headers
        while pos < end:
            value = pos + _HEADER_BYTES + data[pos + 3]
            try:
                column = known_headers[data[pos:value]]
            except KeyError:
                column = -1
            if column < 0 or single_values[column]:
                pos = self._parse_attribute(data, pos, end, single_values, multi_values)
                continue
            pos += 2 + data[pos + 1]
            single_values[column] = data[value:pos]
        if pos > end:
            raise not_ldap("an attribute is longer than its entry")
        for column, values in multi_values.items():
            if single_values[column]:  # the attribute came in several parts
                values.append(single_values[column])
                single_values[column] = b""
        return single_values

    def _parse_attribute(
        self, data: bytes, first: int, end: int, single_values: list[bytes], multi_values: dict[int, list[bytes]]
    ) -> int:
        """Parse the attribute at `first`, in any encoding, and return where the next one starts."""
        description, values, stop = attribute_at(data, first, end)
        column = self._columns.get(without_range(description))
        if column is None or not values:
            return stop
        if len(values) > 1 or not 0 < len(values[0]) <= SHORT or single_values[column] or column in multi_values:
            multi_values.setdefault(column, []).extend(values)
            return stop
        single_values[column] = values[0]
        value = stop - len(values[0])
        is_short = data[first + 1] < LONG_FORM and stop == first + 2 + data[first + 1]
        if is_short and value == first + _HEADER_BYTES + data[first + 3]:
            self._remember(data[first:value], column)
        return stop

    def _remember(self, header: bytes, column: int) -> None:
        if len(self._known_headers) >= _MAX_KNOWN_HEADERS:
            self._known_headers.clear()
        self._known_headers[header] = column
