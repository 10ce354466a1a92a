"""Turns the rules of fields into functions over an entry's octets, made once and called for each entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from contactsync.fields import Kind, kind_of
from contactsync.mapping import values
from contactsync.mapping.rules import EDITS, AttributeSource, FieldRule, is_multi_line
from contactsync.mapping.template import Template
from contactsync.mapping.values import (
    Clean,
    CleanColumn,
    MapLimits,
    TrimCounter,
    cleaner,
    column_cleaner,
    is_picture,
    tidy,
)

Attributes = dict[str, list[bytes]]
ValuesReader = Callable[[list[bytes], Any, TrimCounter], Any]
"""From an attribute's values and the field's value so far (None at first) to the field's value."""
EntryReader = Callable[[Attributes, TrimCounter], Any]
"""From all attributes of an entry to a field's value."""
ColumnReader = Callable[[list[bytes], list[Any] | None, TrimCounter], list[Any]]
"""From the short values that many entries have of an attribute, one each, and the field's values so far (None: blank in
all of them) to the field's values. It gives what a ValuesReader gives, entry by entry, but "" for a blank text."""


def values_reader(field: str, source: AttributeSource, limits: MapLimits) -> ValuesReader:
    """The reader of one attribute into a field."""
    kind = kind_of(field)
    if kind is Kind.PHOTO:
        return partial(_read_photo, limits.photo_bytes)
    clean = cleaner(limits.text_bytes, multi_line=is_multi_line(field), edit=_edit(field, source))
    return _text_reader(clean) if kind is Kind.TEXT else partial(_read_list, clean, limits.values)


def column_reader(field: str, source: AttributeSource, limits: MapLimits) -> ColumnReader:
    """The reader of one attribute into a field, for many entries at once."""
    read = values_reader(field, source, limits)
    kind = kind_of(field)
    if kind is Kind.PHOTO:
        return partial(_read_rows, read)
    clean = column_cleaner(limits.text_bytes, multi_line=is_multi_line(field), edit=_edit(field, source))
    return partial(_read_texts, clean) if kind is Kind.TEXT else partial(_read_lists, clean, read)


def _edit(field: str, source: AttributeSource) -> values.Edit | None:
    edit = EDITS.get(source.edit)
    return values.address_in_one_line if edit is values.address and not is_multi_line(field) else edit


def _read_texts(clean: CleanColumn, column: list[bytes], texts: list[str] | None, tally: TrimCounter) -> list[str]:
    if texts is None:
        return clean(column, tally)
    missing = [b"" if text else raw for text, raw in zip(texts, column, strict=True)]
    if not any(missing):
        return texts
    return [text or other for text, other in zip(texts, clean(missing, tally), strict=True)]


def _read_lists(
    clean: CleanColumn, read: ValuesReader, column: list[bytes], lists: list[list[str]] | None, tally: TrimCounter
) -> list[list[str]]:
    if lists is None:
        return [[text] if text else [] for text in clean(column, tally)]
    return _read_rows(read, column, lists, tally)


def _read_rows(read: ValuesReader, column: list[bytes], found: list[Any] | None, tally: TrimCounter) -> list[Any]:
    found = found or [None] * len(column)
    return [read([raw], value, tally) if raw else value for raw, value in zip(column, found, strict=True)]


@dataclass(frozen=True, slots=True)
class FieldReader:
    """How a field comes out of an entry's attributes.

    `columns` has the attributes that the field is read from, in lower case, with their readers for many entries at
    once; it is empty for a field that has a template. `attributes` are all that it looks at. `blank` is its value where
    an entry has none of them.
    """

    read: EntryReader
    columns: tuple[tuple[str, ColumnReader], ...]
    attributes: frozenset[str]
    blank: Any


def field_reader(name: str, rule: FieldRule, limits: MapLimits) -> FieldReader:
    """The reader of a field by its rule."""
    plain = [source for source in rule.sources if not isinstance(source, Template)]
    by_column = len(plain) == len(rule.sources)
    return FieldReader(
        read=_entry_reader(name, rule, limits),
        columns=tuple((source.attribute.lower(), column_reader(name, source, limits)) for source in plain)
        if by_column
        else (),
        attributes=frozenset(name.lower() for source in rule.sources for name in source.attributes),
        blank=[] if kind_of(name) is Kind.LIST else None,
    )


def _entry_reader(field: str, rule: FieldRule, limits: MapLimits) -> EntryReader:
    readers = [_source_reader(field, source, limits) for source in rule.sources]
    blank = kind_of(field) is Kind.LIST

    def read(attributes: Attributes, tally: TrimCounter) -> Any:
        value = None
        for read_source in readers:
            value = read_source(attributes, value, tally)
        return [] if blank and value is None else value

    return read


def _source_reader(field: str, source: AttributeSource | Template, limits: MapLimits) -> Callable[..., Any]:
    if isinstance(source, Template):
        return _template_reader(field, source, limits)
    attribute = source.attribute.lower()
    read = values_reader(field, source, limits)
    return lambda attributes, value, tally: (
        read(attributes[attribute], value, tally) if attribute in attributes else value
    )


def _template_reader(field: str, template: Template, limits: MapLimits) -> Callable[..., Any]:
    first = _text_reader(cleaner(limits.text_bytes, multi_line=False))
    multi_line = is_multi_line(field)
    is_list = kind_of(field) is Kind.LIST

    def read(attributes: Attributes, value: Any, tally: TrimCounter) -> Any:
        if value and not is_list:
            return value
        text = template.render(lambda name: first(attributes.get(name.lower(), []), None, tally) or "")
        text = tidy(text, limits.text_bytes, tally, multi_line=multi_line)
        if is_list:
            return _joined(value, text, limits.values, tally)
        return text or None

    return read


def _text_reader(clean: Clean) -> ValuesReader:
    """The first value that is not blank, in the order of the octets: an attribute's values have none of their own."""

    def read(octets: list[bytes], value: Any, tally: TrimCounter) -> str | None:
        if value:
            return str(value)
        for raw in octets if len(octets) == 1 else sorted(octets):
            text = clean(raw, tally)
            if text:
                return text
        return None

    return read


def _joined(value: list[str] | None, text: str, most: int, tally: TrimCounter) -> list[str]:
    """A template's text after the values so far."""
    found = value or []
    if not text or text.casefold() in map(str.casefold, found):
        return found
    if len(found) >= most:
        tally.trimmed += 1
        return found
    return [*found, text]


def _read_list(clean: Clean, most: int, octets: list[bytes], value: list[str] | None, tally: TrimCounter) -> list[str]:
    """All values, in the order of their octets, after those so far, without repeats and until there are enough."""
    if not value and len(octets) == 1:
        text = clean(octets[0], tally)
        return [text] if text else []
    found = {text.casefold(): text for text in value or ()}
    for index, raw in enumerate(sorted(octets)):
        if len(found) >= most:
            tally.trimmed += len(octets) - index
            break
        text = clean(raw, tally)
        if text:
            found.setdefault(text.casefold(), text)
    return list(found.values())


def _read_photo(limit: int, octets: list[bytes], value: bytes | None, tally: TrimCounter) -> bytes | None:
    """The first value that is a picture and not too large."""
    if value:
        return value
    for raw in sorted(octets):
        if len(raw) <= limit and is_picture(raw):
            return raw
        tally.trimmed += bool(raw)
    return None
