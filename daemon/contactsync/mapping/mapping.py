"""The mapping of directory entries to contacts, compiled once for a definition.

The rules for values:

- An attribute's values have no order (RFC 4511 section 4.1.7), so they are read in the order of their octets. A text
  field has the first value that is not blank, from the first source that has one. A list has all values of all sources
  in the order of the sources, without repetitions, regardless of case.
- A blank value (empty, or nothing visible) is no value. Outer white space is removed, other spaces become U+0020, and
  text is converted to NFC, so that names that look the same are equal. A display name has a letter, digit or emoji.
- These values are *trimmed*, and counted. Dropped: text that is not UTF-8, and a photo that is too large or is no JPEG,
  PNG, GIF or WebP. Cut between two characters: a text that is too long. Removed or replaced by a space: NUL and other
  control characters, except line breaks and tabs in a field of several lines. Removed: invisible characters
  (`invisible`). Only the first of too many values are kept.
- A display name that is mapped but blank becomes the first email, else the value of the first RDN, else the key.
- An entry is rejected if its identity is missing, malformed or has several values. Any other defect is trimmed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contactsync.errors import MappingError
from contactsync.ldap.protocol.entry import Entry
from contactsync.mapping.columnar import BatchMapper
from contactsync.mapping.entry_filter import EntryFilter
from contactsync.mapping.identity import BY_DN, Identity, NoIdentityError
from contactsync.mapping.readers import DISPLAY_NAME, EMAILS, FieldReader, fallback_name
from contactsync.mapping.rules import FieldRule, Rules, read_rules
from contactsync.mapping.template import Template
from contactsync.mapping.values import TrimCounter
from contactsync.model import MappedBatch, MappedEntry, Policy, RejectedEntry, TrimmedValue
from contactsync.settings.schema import MappingLimits

FORMAT = 2
"""Raise it when the same rules begin to give other values: every entry is then mapped again."""

_MAX_ATTRIBUTES = 500
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A compiled mapping. The `values` of a mapped entry are in the order of `fields`.

    `attributes` are those to request from the directory, including the identity. `filter` applies if the definition has
    none. `digest` (16 bytes) changes with the values that `map` returns and with the policies, and `identity_digest`
    (16 bytes) with the keys. `preserved` includes FreeIPA's preserved and staged people.
    """

    fields: tuple[str, ...]
    policies: dict[str, Policy]
    attributes: tuple[str, ...]
    identity: tuple[str, ...]
    filter: EntryFilter
    preserved: bool
    sources: dict[str, frozenset[str]]
    digest: bytes
    identity_digest: bytes
    limits: MappingLimits
    _identity: Identity = field(repr=False)
    _readers: tuple[FieldReader, ...] = field(repr=False)
    _batch_mapper: BatchMapper = field(repr=False)

    def map(self, fingerprint: bytes, entry: Entry) -> MappedEntry | RejectedEntry:
        """The entry as a contact, or as rejected if it has no valid key."""
        try:
            key = self._identity.key(entry)
        except NoIdentityError as error:
            return RejectedEntry(entry.dn, None, str(error))
        trims = TrimCounter()
        values = [reader.read(entry.attributes, trims) for reader in self._readers]
        if self.fields[0] == DISPLAY_NAME and not values[0]:
            emails = values[self.fields.index(EMAILS)] if EMAILS in self.fields else []
            values[0] = fallback_name(key, entry.dn, emails, self.limits, trims)
        notes = tuple(TrimmedValue(entry.dn, key, fingerprint, name, reason) for _, name, reason in trims.notes)
        return MappedEntry(key, entry.dn, fingerprint, tuple(values), trims.count, notes)

    def map_batch(self, entries: Sequence[tuple[bytes, bytes]]) -> MappedBatch:
        """What `map` returns for each entry, given as its fingerprint and the octets of its protocolOp.

        Raises ProtocolViolation for octets that are not an entry.
        """
        return self._batch_mapper.map(entries)


def compile_mapping(definition: dict[str, Any] | None, *, active_directory: bool, limits: MappingLimits) -> Mapping:
    """The mapping of a definition's JSON over the preset for the kind of server; raises MappingError naming the key.

    `{"preset": "inetOrgPerson" | "activeDirectory" | "none", "include": {"disabled": true, ...}, "identity":
    "entryUUID" | [...] | "dn", "fields": {...}}`, all optional; mapping.entry_filter has the switches of `include`.
    A field is null or `[]` (not mapped), a source, a list of sources, or `{"from": sources, "policy": "directory" |
    "fill" | "insert"}` with either key left out. A source is an attribute, a template such as `"{title} ({ou})"`, or
    `{"attribute": "manager", "as": "rdn" | "address" | "fax" | "smtp" | "uri"}`.
    """
    rules = read_rules(definition, active_directory=active_directory)
    attributes = _needed_attributes(rules)
    readers = tuple(FieldReader(name, rule, limits) for name, rule in rules.fields.items())
    identity = Identity(rules.identity)
    lowered = tuple(name.lower() for name in attributes)
    return Mapping(
        fields=tuple(rules.fields),
        policies={name: rule.policy for name, rule in rules.fields.items()},
        attributes=attributes,
        identity=rules.identity,
        filter=rules.filter,
        preserved=rules.preserved,
        sources={name: reader.attributes for name, reader in zip(rules.fields, readers, strict=True)},
        digest=_digest(rules, limits),
        identity_digest=_hashed([_lowered(rules.identity)]),
        limits=limits,
        _identity=identity,
        _readers=readers,
        _batch_mapper=BatchMapper(rules.fields, readers, lowered, identity, limits),
    )


def _needed_attributes(rules: Rules) -> tuple[str, ...]:
    """Each attribute once, regardless of case, those of the identity first."""
    needed = {name.lower(): name for name in rules.identity if name != BY_DN}
    for rule in rules.fields.values():
        for source in rule.sources:
            for name in source.attributes:
                needed.setdefault(name.lower(), name)
    if len(needed) > _MAX_ATTRIBUTES:
        raise MappingError(
            f"The mapping's fields use {len(needed)} attributes.", hint=f"At most {_MAX_ATTRIBUTES} are possible."
        )
    return tuple(needed.values())


def _digest(rules: Rules, limits: MappingLimits) -> bytes:
    fields = {name: [rule.policy, *_canonical(rule)] for name, rule in rules.fields.items()}
    return _hashed([FORMAT, _lowered(rules.identity), limits.model_dump(), fields])


def _hashed(parts: list[Any]) -> bytes:
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=_DIGEST_BYTES).digest()


def _lowered(names: tuple[str, ...]) -> list[str]:
    return [name.lower() for name in names]


def _canonical(rule: FieldRule) -> list[list[str]]:
    return [
        ["template", source.text] if isinstance(source, Template) else [source.attribute.lower(), source.edit]
        for source in rule.sources
    ]
