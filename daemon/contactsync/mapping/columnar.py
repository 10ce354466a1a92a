"""Maps a batch of entries column by column: equal to `Mapping.map` of each entry, but faster.

The values that the entries have of one attribute are decoded and checked as one text, so that the loops run in C. Two
kinds of fields are read entry by entry: a field with a template, and one whose attribute has several values or a long
one there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unicodedata import is_normalized

from contactsync.fields import Kind, kind_of
from contactsync.ldap.protocol.entry import Entry, dn_texts
from contactsync.mapping.entry_parser import SHORT, EntryParser, ParsedBatch
from contactsync.mapping.identity import Identity, NoIdentityError
from contactsync.mapping.invisible import may_hide
from contactsync.mapping.readers import (
    DISPLAY_NAME,
    EMAILS,
    FieldReader,
    ValuesReader,
    fallback_name,
    text_cleaner,
    values_reader,
)
from contactsync.mapping.rules import AttributeSource, FieldRule
from contactsync.mapping.template import Template
from contactsync.mapping.values import TextCleaner, TrimCounter
from contactsync.model import MappedBatch, RejectedEntry, TrimmedValue
from contactsync.settings.schema import MappingLimits

_SEPARATOR = "\x1f"
"""Between the values of a column while they are one text; no value that is left unchanged contains it."""
_NO_WORD = re.compile(f"{_SEPARATOR}(?:[^\\w{_SEPARATOR}]|_)+{_SEPARATOR}")
"""A value without a letter or a digit."""
_FEW_VALUES = 16
"""Values of a column that are cleaned one by one if one of them needs cleaning."""

ColumnReader = Callable[[list[bytes], list[Any] | None, TrimCounter], list[Any]]
"""From a column of values, and the field's values so far (None if all are blank), to the field's values.

It returns what a ValuesReader returns for each row, but "" for a blank text.
"""


class BatchMapper:
    """A compiled mapping for batches. `attributes` are all that it reads, in lower case."""

    def __init__(
        self,
        rules: dict[str, FieldRule],
        readers: Sequence[FieldReader],
        attributes: Sequence[str],
        identity: Identity,
        limits: MappingLimits,
    ) -> None:
        self._fields = tuple(rules)
        sources = (_column_readers(field, rule, limits) for field, rule in rules.items())
        self._readers = list(zip(readers, sources, strict=True))
        self._columns = {attribute: column for column, attribute in enumerate(attributes)}
        self._parser = EntryParser(attributes)
        self._identity = identity
        self._limits = limits

    def map(self, entries: Sequence[tuple[bytes, bytes]]) -> MappedBatch:
        """See Mapping.map_batch."""
        parsed = self._parser.parse(octets for _, octets in entries)
        dns = dn_texts(parsed.dns)
        keys, rejected = self._keys(parsed, dns)
        if rejected:
            batch = self.map([entry for row, entry in enumerate(entries) if row not in rejected])
            return replace(batch, rejected=tuple(rejected.values()))
        trims = TrimCounter()
        columns = [self._read(reader, sources, parsed, trims) for reader, sources in self._readers]
        if keys and self._fields[0] == DISPLAY_NAME:
            columns[0] = self._display_names(columns, keys, dns, trims)
        fingerprints = [fingerprint for fingerprint, _ in entries]
        notes = tuple(
            TrimmedValue(dns[row], keys[row], fingerprints[row], field, reason) for row, field, reason in trims.notes
        )
        return MappedBatch(keys, dns, fingerprints, tuple(columns), trims.count, notes)

    def _keys(self, parsed: ParsedBatch, dns: list[str]) -> tuple[list[str], dict[int, RejectedEntry]]:
        """The key of each entry that has one, and the rejected entries by row."""
        keys: list[str] = []
        rejected: dict[int, RejectedEntry] = {}
        attribute = self._first_identity(parsed)
        values = parsed.column(self._columns[attribute]) if attribute else [b""] * len(dns)
        if all_keys := self._identity.keys(attribute, values):
            return all_keys, rejected
        for row, value in enumerate(values):
            try:
                keys.append(self._identity.key_of(attribute, [value]) if value else self._key(parsed, row, dns[row]))
            except NoIdentityError as error:
                rejected[row] = RejectedEntry(dns[row], None, str(error))
        return keys, rejected

    def _first_identity(self, parsed: ParsedBatch) -> str:
        """The first attribute of the identity that any entry has; "" if there is none."""
        for attribute in self._identity.attributes:
            column = self._columns[attribute]
            if parsed.exceptional_rows([column]) or any(parsed.column(column)):
                return attribute
        return ""

    def _key(self, parsed: ParsedBatch, row: int, dn: str) -> str:
        return self._identity.key(Entry(dn, self._attributes(parsed, row, self._identity.attributes)))

    def _read(
        self,
        reader: FieldReader,
        sources: Sequence[tuple[str, ColumnReader]],
        parsed: ParsedBatch,
        trims: TrimCounter,
    ) -> list[Any] | None:
        """The values of one field; None if all are blank."""
        exceptional = parsed.exceptional_rows(self._columns[name] for name in reader.attributes)
        values: list[Any] | None = None
        trims.field = reader.field
        for attribute, read in sources:
            raws = parsed.column(self._columns[attribute])
            for row in exceptional:
                raws[row] = b""
            if any(raws):
                values = read(raws, values, trims)
        rows = sorted(exceptional) if sources else range(len(parsed.dns))
        if rows and values is None:
            values = [reader.blank] * len(parsed.dns)
        for trims.row in rows:
            row = trims.row
            values[row] = reader.read(self._attributes(parsed, row, reader.attributes), trims)  # type: ignore[index]
        return values

    def _attributes(self, parsed: ParsedBatch, row: int, names: Iterable[str]) -> dict[str, list[bytes]]:
        attributes = ((name, parsed.values(row, self._columns[name])) for name in names)
        return {name: values for name, values in attributes if values}

    def _display_names(
        self, columns: Sequence[list[Any] | None], keys: list[str], dns: list[str], trims: TrimCounter
    ) -> list[Any]:
        names = columns[0] or [None] * len(keys)
        if not all(names):
            emails = columns[self._fields.index(EMAILS)] if EMAILS in self._fields else None
            for row, name in enumerate(names):
                if not name:
                    own = emails[row] if emails else []
                    trims.row = row
                    names[row] = fallback_name(keys[row], dns[row], own, self._limits, trims)
        return names


def _column_readers(field: str, rule: FieldRule, limits: MappingLimits) -> list[tuple[str, ColumnReader]]:
    """The attributes that a field is read from, with their readers; none for a field with a template."""
    readers = []
    for source in rule.sources:
        if isinstance(source, Template):
            return []
        readers.append((source.attribute.lower(), _column_reader(field, source, limits)))
    return readers


def _column_reader(field: str, source: AttributeSource, limits: MappingLimits) -> ColumnReader:
    read = values_reader(field, source, limits)
    if kind_of(field) is Kind.PHOTO:
        return partial(_read_rows, read)
    cleaner = text_cleaner(field, source, limits)
    return partial(_read_texts, cleaner) if kind_of(field) is Kind.TEXT else partial(_read_lists, cleaner, read)


def _read_texts(cleaner: TextCleaner, raws: list[bytes], texts: list[str] | None, trims: TrimCounter) -> list[str]:
    if texts is None:
        return _clean_column(cleaner, raws, trims)
    missing = [b"" if text else raw for text, raw in zip(texts, raws, strict=True)]
    if not any(missing):
        return texts
    return [text or other for text, other in zip(texts, _clean_column(cleaner, missing, trims), strict=True)]


def _read_lists(
    cleaner: TextCleaner, read: ValuesReader, raws: list[bytes], lists: list[list[str]] | None, trims: TrimCounter
) -> list[list[str]]:
    if lists is None:
        return [[text] if text else [] for text in _clean_column(cleaner, raws, trims)]
    return _read_rows(read, raws, lists, trims)


def _read_rows(read: ValuesReader, raws: list[bytes], values: list[Any] | None, trims: TrimCounter) -> list[Any]:
    values = list(values) if values else [None] * len(raws)
    for trims.row, raw in enumerate(raws):
        if raw:
            values[trims.row] = read([raw], values[trims.row], trims)
    return values


def _clean_column(cleaner: TextCleaner, raws: list[bytes], trims: TrimCounter, first: int = 0) -> list[str]:
    """`TextCleaner.clean` of each value, none longer than SHORT; "" for b"". `first` is the row of the first value.

    The values are checked as one text. If one of them needs cleaning, each half is checked in the same way.
    """
    if cleaner.edit is None and cleaner.simple_length >= SHORT:
        texts = _clean_texts(raws, are_names=cleaner.is_name)
        if texts is not None:
            return texts
        if len(raws) > _FEW_VALUES:
            middle = len(raws) // 2
            return [
                *_clean_column(cleaner, raws[:middle], trims, first),
                *_clean_column(cleaner, raws[middle:], trims, first + middle),
            ]
    return [cleaner.clean(raw, trims) if raw else "" for trims.row, raw in enumerate(raws, first)]


def _clean_texts(raws: list[bytes], *, are_names: bool) -> list[str] | None:
    """The texts of values that need no cleaning; None if one of them may."""
    octets = _SEPARATOR.encode().join(raws)
    try:
        joined = octets.decode()
    except UnicodeDecodeError:
        return None
    texts = joined.split(_SEPARATOR)
    framed = f"{_SEPARATOR}{joined}{_SEPARATOR}"
    is_clean = (
        len(texts) == len(raws)
        and f"{_SEPARATOR} " not in framed
        and f" {_SEPARATOR}" not in framed
        and joined.replace(_SEPARATOR, "").isprintable()
        and (joined.isascii() or (is_normalized("NFC", joined) and not may_hide(octets)))
        and ((joined.isascii() and not are_names) or not _NO_WORD.search(framed))
    )
    return texts if is_clean else None
