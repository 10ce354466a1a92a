"""Readers of fields: functions over the attributes of one entry, made once out of the rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from contactsync.fields import Kind, kind_of, photo_type
from contactsync.ldap import dn
from contactsync.mapping import values
from contactsync.mapping.rules import EDITS, AttributeSource, FieldRule, is_multi_line
from contactsync.mapping.template import Template
from contactsync.mapping.values import TextCleaner, TrimCounter, clean_text
from contactsync.settings.schema import MappingLimits
from contactsync.text import counted

DISPLAY_NAME, EMAILS = "display_name", "emails"

Attributes = dict[str, list[bytes]]
ValuesReader = Callable[[list[bytes], Any, TrimCounter], Any]
"""From the values of an attribute and the field's value so far (None at first) to the field's value."""


class FieldReader:
    """Reads a field out of an entry's attributes; `blank` is its value if the entry has none of them.

    `attributes` are all that it reads, in lower case.
    """

    def __init__(self, field: str, rule: FieldRule, limits: MappingLimits) -> None:
        self.field = field
        self.attributes = frozenset(name.lower() for source in rule.sources for name in source.attributes)
        self.blank: Any = [] if kind_of(field) is Kind.LIST else None
        self._readers = [_source_reader(field, source, limits) for source in rule.sources]

    def read(self, attributes: Attributes, trims: TrimCounter) -> Any:
        """The field's value."""
        value = None
        trims.field = self.field
        for read in self._readers:
            value = read(attributes, value, trims)
        return self.blank if value is None else value


def text_cleaner(field: str, source: AttributeSource, limits: MappingLimits) -> TextCleaner:
    """The cleaner of an attribute's values for a text or list field."""
    multi_line = is_multi_line(field)
    edit = EDITS.get(source.edit)
    if edit is values.address and not multi_line:
        edit = values.address_in_one_line
    return TextCleaner(limits.text_bytes, multi_line=multi_line, is_name=field == DISPLAY_NAME, edit=edit)


def values_reader(field: str, source: AttributeSource, limits: MappingLimits) -> ValuesReader:
    """The reader of one attribute into a field."""
    if kind_of(field) is Kind.PHOTO:
        return partial(_read_photo, limits.photo_bytes)
    cleaner = text_cleaner(field, source, limits)
    if kind_of(field) is Kind.TEXT:
        return partial(_read_text, cleaner)
    return partial(_read_list, cleaner, limits.values)


def fallback_name(key: str, entry_dn: str, emails: list[str], limits: MappingLimits, trims: TrimCounter) -> str:
    """The display name of an entry without one: its first email, else the value of its first RDN, else its key."""
    trims.field = DISPLAY_NAME
    name = emails[0] if emails else dn.first_value(entry_dn) or ""
    return clean_text(name, limits.text_bytes, trims, is_name=True) or clean_text(key, limits.text_bytes, trims)


def _source_reader(field: str, source: AttributeSource | Template, limits: MappingLimits) -> Callable[..., Any]:
    if isinstance(source, Template):
        return _template_reader(field, source, limits)
    attribute, read = source.attribute.lower(), values_reader(field, source, limits)
    return lambda attributes, value, trims: (
        read(attributes[attribute], value, trims) if attribute in attributes else value
    )


def _template_reader(field: str, template: Template, limits: MappingLimits) -> Callable[..., Any]:
    cleaner = TextCleaner(limits.text_bytes, multi_line=False)
    multi_line, is_list = is_multi_line(field), kind_of(field) is Kind.LIST
    lowered = {name: name.lower() for name in template.attributes}

    def read(attributes: Attributes, value: Any, trims: TrimCounter) -> Any:
        if value and not is_list:
            return value
        text = template.render(lambda name: _read_text(cleaner, attributes.get(lowered[name], []), None, trims) or "")
        text = clean_text(text, limits.text_bytes, trims, multi_line=multi_line, is_name=field == DISPLAY_NAME)
        return _appended(value or [], text, limits.values, trims) if is_list else text or None

    return read


def _appended(texts: list[str], text: str, limit: int, trims: TrimCounter) -> list[str]:
    if not text or text.casefold() in map(str.casefold, texts):
        return texts
    if len(texts) >= limit:
        trims.add(_too_many(1, limit))
        return texts
    return [*texts, text]


def _read_text(cleaner: TextCleaner, raws: list[bytes], value: str | None, trims: TrimCounter) -> str | None:
    """The first value that is not blank, in the order of their octets: an attribute's values have no order."""
    if value:
        return value
    for raw in raws if len(raws) == 1 else sorted(raws):
        text = cleaner.clean(raw, trims)
        if text:
            return text
    return None


def _read_list(
    cleaner: TextCleaner, limit: int, raws: list[bytes], value: list[str] | None, trims: TrimCounter
) -> list[str]:
    """The values so far, then these in the order of their octets, without repetitions and up to the limit."""
    if not value and len(raws) == 1:
        text = cleaner.clean(raws[0], trims)
        return [text] if text else []
    texts = {text.casefold(): text for text in value or ()}
    for index, raw in enumerate(sorted(raws)):
        if len(texts) >= limit:
            trims.add(_too_many(len(raws) - index, limit), len(raws) - index)
            break
        text = cleaner.clean(raw, trims)
        if text:
            texts.setdefault(text.casefold(), text)
    return list(texts.values())


def _read_photo(limit: int, raws: list[bytes], value: bytes | None, trims: TrimCounter) -> bytes | None:
    """The first value that is a picture and not too large."""
    if value:
        return value
    for raw in sorted(raws):
        if len(raw) <= limit and photo_type(raw):
            return raw
        if raw:
            why = f"of over {limit:,} bytes" if len(raw) > limit else "that is no JPEG, PNG, GIF or WebP"
            trims.add(f"a photo {why} was dropped ({len(raw):,} bytes)")
    return None


def _too_many(count: int, limit: int) -> str:
    return f"{counted(count, 'value')} beyond the first {limit:,} {'was' if count == 1 else 'were'} dropped"
