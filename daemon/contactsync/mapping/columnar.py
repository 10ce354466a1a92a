"""Maps many entries at once, column by column; `Mapping.map` says what comes out.

A first load and a changed mapping wait for this. The values that many entries have of one attribute are decoded and
looked over as one text, so that the loops run in C. An entry with several values of an attribute, or a long one, is
read by itself for the fields that use it, and so is every entry for a field that has a template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from contactsync.ldap import dn
from contactsync.ldap.protocol.entry import Entry, dn_texts
from contactsync.mapping.cutter import EntryParser, ParsedBatch
from contactsync.mapping.identity import BY_DN, NoIdentityError, column_reader, key_reader
from contactsync.mapping.readers import FieldReader
from contactsync.mapping.values import MapLimits, TrimCounter, tidy
from contactsync.model import MappedBatch, RejectedEntry

DISPLAY_NAME, EMAILS = "display_name", "emails"


class BatchMapper:
    """A compiled mapping for batches. `attributes` are all that it uses, in lower case."""

    def __init__(
        self,
        *,
        fields: tuple[str, ...],
        readers: tuple[FieldReader, ...],
        attributes: tuple[str, ...],
        identity: tuple[str, ...],
        identify: Callable[[Entry], str],
        limits: MapLimits,
    ) -> None:
        self._fields = fields
        self._readers = readers
        self._places = {attribute: place for place, attribute in enumerate(attributes)}
        self._cutter = EntryParser(attributes)
        self._identity = () if identity == (BY_DN,) else tuple(name.lower() for name in identity)
        self._key_readers = {name.lower(): (key_reader(name), column_reader(name)) for name in identity}
        self._identify = identify
        self._limits = limits

    def map(self, entries: Sequence[tuple[bytes, bytes]]) -> MappedBatch:
        """See Mapping.map_all."""
        cut = self._cutter.cut(octets for _, octets in entries)
        dns = dn_texts(cut.dns)
        keys, rejected = self._keys(cut, dns)
        fingerprints = [fingerprint for fingerprint, _ in entries]
        if rejected:
            cut.drop(list(rejected))
            dns = [text for row, text in enumerate(dns) if row not in rejected]
            fingerprints = [fingerprint for row, fingerprint in enumerate(fingerprints) if row not in rejected]
        tally = TrimCounter()
        columns = [self._column(reader, cut, tally) for reader in self._readers]
        if keys and self._fields[0] == DISPLAY_NAME:
            columns[0] = self._names(columns, keys, dns, tally)
        return MappedBatch(keys, dns, fingerprints, tuple(columns), tally.trimmed, tuple(rejected.values()))

    def _keys(self, cut: ParsedBatch, dns: list[str]) -> tuple[list[str], dict[int, RejectedEntry]]:
        """The key of each entry that has one, and the others by their row."""
        keys: list[str] = []
        rejected: dict[int, RejectedEntry] = {}
        leading = self._leading(cut)
        cells = cut.column(self._places[leading]) if self._identity else [b""] * len(dns)
        read, read_all = self._key_readers[leading]
        if found := read_all(cells):
            return found, rejected
        for row, cell in enumerate(cells):
            try:
                keys.append(read([cell]) if cell else self._key(cut, row, dns[row]))
            except NoIdentityError as error:
                rejected[row] = RejectedEntry(dns[row], None, str(error))
        return keys, rejected

    def _leading(self, cut: ParsedBatch) -> str:
        """The first attribute of the identity that any of the entries has: servers of one kind give all the same."""
        for name in self._identity:
            place = self._places[name]
            if cut.exceptional_rows([place]) or any(cut.column(place)):
                return name
        return next(iter(self._key_readers))

    def _key(self, cut: ParsedBatch, row: int, entry_dn: str) -> str:
        return self._identify(Entry(entry_dn, self._attributes(cut, row, self._identity)))

    def _column(self, reader: FieldReader, cut: ParsedBatch, tally: TrimCounter) -> list[Any] | None:
        """The values of one field; None when it is blank in all entries."""
        odd = cut.exceptional_rows(self._places[name] for name in reader.attributes)
        column: list[Any] | None = None
        for attribute, read in reader.columns:
            raws = cut.column(self._places[attribute])
            for row in odd:
                raws[row] = b""
            if any(raws):
                column = read(raws, column, tally)
        rows = sorted(odd) if reader.columns else range(len(cut.dns))
        if rows and column is None:
            column = [reader.blank] * len(cut.dns)
        for row in rows:
            column[row] = reader.read(self._attributes(cut, row, reader.attributes), tally)  # type: ignore[index]
        return column

    def _attributes(self, cut: ParsedBatch, row: int, names: Sequence[str] | frozenset[str]) -> dict[str, list[bytes]]:
        found = ((name, cut.values(row, self._places[name])) for name in names)
        return {name: values for name, values in found if values}

    def _names(
        self, columns: Sequence[list[Any] | None], keys: list[str], dns: list[str], tally: TrimCounter
    ) -> list[Any]:
        names = columns[0] or [None] * len(keys)
        if not all(names):
            emails = columns[self._fields.index(EMAILS)] if EMAILS in self._fields else None
            for row, name in enumerate(names):
                if not name:
                    own = emails[row] if emails else []
                    names[row] = fallback_name(keys[row], dns[row], own, self._limits, tally)
        return names


def fallback_name(key: str, entry_dn: str, emails: list[str], limits: MapLimits, tally: TrimCounter) -> str:
    """What an entry is called that has no name: its first email, else the value of its first RDN, else its key."""
    name = emails[0] if emails else dn.first_value(entry_dn) or ""
    return tidy(name, limits.text_bytes, tally) or tidy(key, limits.text_bytes, tally)
