"""The mapping of directory entries to contacts, compiled once for a definition. Pure: octets in, values out.

What becomes of values, the whole of it:

- The values of an attribute have no order (RFC 4511 section 4.1.7), so they are taken in the order of their octets: an
  attribute whose values come in another order is no change. A text field takes the first that is not blank, out of the
  first of its sources that has one; a list takes all of all sources in the order of sources, repeats left out (the case
  of letters makes no difference there).
- Blank values (empty, or white space only) are no values. Outer white space is cut off. Text is brought to NFC, so that
  names that look the same are the same.
- These are *trimmed*, which is counted: a text that is not UTF-8, and a photo that is too large or no JPEG, PNG, GIF or
  WebP, are dropped; a text that is too long is cut between two characters; NUL is removed and other control characters
  become a space (line breaks and tabs stay where a field has lines); of too many values the first ones are kept.
- A display name that is mapped but blank becomes the first email, else the value of the first RDN, else the key.
- An entry whose identity is missing, double or malformed is rejected; whatever else is wrong with it is trimmed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from contactsync.errors import MappingError
from contactsync.ldap.protocol.entry import Entry
from contactsync.mapping.columnar import DISPLAY_NAME, EMAILS, BatchMapper, fallback_name
from contactsync.mapping.entry_filter import EntryFilter
from contactsync.mapping.identity import BY_DN, NoIdentityError, identity_reader
from contactsync.mapping.readers import FieldReader, field_reader
from contactsync.mapping.rules import FieldRule, Rules, read_rules
from contactsync.mapping.template import Template
from contactsync.mapping.values import MapLimits, TrimCounter
from contactsync.model import MappedBatch, MappedEntry, Policy, RejectedEntry

__all__ = ["MapLimits", "Mapping", "compile_mapping"]

FORMAT = 1
"""To be raised whenever the same rules begin to give other values: every entry is then mapped anew."""

_MOST_ATTRIBUTES = 500
_DIGEST_SIZE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A compiled mapping. `values` of what `map` returns follow `fields`.

    `attributes` are those to ask the directory for, the identity's included; `filter` is the one to use when the
    definition has none, as far as the server's schema allows. `digest` covers all that changes what `map` returns, and
    the policies, so that a changed policy is carried out on entries that did not change; `identity_digest` covers what
    makes the key. 16 bytes each.
    """

    fields: tuple[str, ...]
    policies: dict[str, Policy]
    attributes: tuple[str, ...]
    identity: tuple[str, ...]
    filter: EntryFilter
    sources: dict[str, frozenset[str]]
    digest: bytes
    identity_digest: bytes
    limits: MapLimits
    _identify: Callable[[Entry], str] = field(repr=False)
    _fields: tuple[FieldReader, ...] = field(repr=False)
    _batches: BatchMapper = field(repr=False)

    def map(self, fingerprint: bytes, entry: Entry) -> MappedEntry | RejectedEntry:
        """The entry as a contact. Never raises: an entry that cannot be recognised again is returned as rejected."""
        try:
            key = self._identify(entry)
        except NoIdentityError as error:
            return RejectedEntry(entry.dn, None, str(error))
        tally = TrimCounter()
        values = [column.read(entry.attributes, tally) for column in self._fields]
        if self.fields[0] == DISPLAY_NAME and not values[0]:
            emails = values[self.fields.index(EMAILS)] if EMAILS in self.fields else []
            values[0] = fallback_name(key, entry.dn, emails, self.limits, tally)
        return MappedEntry(key, entry.dn, fingerprint, tuple(values), tally.trimmed)

    def map_all(self, entries: Sequence[tuple[bytes, bytes]]) -> MappedBatch:
        """Many entries at once, each as its fingerprint and the octets of its protocolOp: the same as `map` of each.

        Raises ProtocolViolation for octets that are no entry.
        """
        return self._batches.map(entries)


def compile_mapping(definition: dict[str, Any] | None, *, active_directory: bool, limits: MapLimits) -> Mapping:
    """The mapping of a definition's JSON over the preset for the kind of server; raises MappingError naming the key.

    `{"preset": "inetOrgPerson" | "activeDirectory" | "none", "include": {"disabled": true, ...}, "identity":
    "entryUUID" | [...] | "dn", "fields": {...}}`, all optional; the switches of `include` are in mapping.entry_filter.
    A field is null or `[]` (not mapped), a source, a list of sources, or `{"from": sources, "policy": "directory" |
    "fill" | "insert"}` with either part left out. A source is an attribute, a template such as `"{title} ({ou})"`, or
    `{"attribute": "manager", "as": "rdn" | "address" | "fax" | "smtp" | "uri"}`.
    """
    rules = read_rules(definition, active_directory=active_directory)
    attributes = _needed_attributes(rules)
    readers = tuple(field_reader(name, rule, limits) for name, rule in rules.fields.items())
    identify = identity_reader(rules.identity)
    return Mapping(
        fields=tuple(rules.fields),
        policies={name: rule.policy for name, rule in rules.fields.items()},
        attributes=attributes,
        identity=rules.identity,
        filter=rules.filter,
        sources={
            name: frozenset(attribute.lower() for source in rule.sources for attribute in source.attributes)
            for name, rule in rules.fields.items()
        },
        digest=_digest(rules, limits),
        identity_digest=_hashed([_lowered(rules.identity)]),
        limits=limits,
        _identify=identify,
        _fields=readers,
        _batches=BatchMapper(
            fields=tuple(rules.fields),
            readers=readers,
            attributes=tuple(name.lower() for name in attributes),
            identity=rules.identity,
            identify=identify,
            limits=limits,
        ),
    )


def _needed_attributes(rules: Rules) -> tuple[str, ...]:
    """Each attribute once, however its case is written, those of the identity first."""
    needed = {name.lower(): name for name in rules.identity if name != BY_DN}
    for rule in rules.fields.values():
        for source in rule.sources:
            for name in source.attributes:
                needed.setdefault(name.lower(), name)
    if len(needed) > _MOST_ATTRIBUTES:
        raise MappingError(
            f"The mapping's fields use {len(needed)} attributes.", hint=f"At most {_MOST_ATTRIBUTES} are possible."
        )
    return tuple(needed.values())


def _digest(rules: Rules, limits: MapLimits) -> bytes:
    fields = {name: [rule.policy, *_canonical(rule)] for name, rule in rules.fields.items()}
    return _hashed([FORMAT, _lowered(rules.identity), asdict(limits), fields])


def _hashed(parts: list[Any]) -> bytes:
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=_DIGEST_SIZE).digest()


def _lowered(names: tuple[str, ...]) -> list[str]:
    return [name.lower() for name in names]


def _canonical(rule: FieldRule) -> list[list[str]]:
    return [
        ["template", source.text] if isinstance(source, Template) else [source.attribute.lower(), source.edit]
        for source in rule.sources
    ]
