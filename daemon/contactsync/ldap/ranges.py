"""Completes attributes of which Active Directory sends only the first 1,500 values or so.

It sends `member;range=0-1499`; the rest is requested entry by entry as `member;range=1500-*` ([MS-ADTS], section
3.1.1.3.1.3.3). An entry must be complete before its fingerprint is taken: entries may differ in a later value only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from contactsync.errors import IncompleteSnapshot
from contactsync.ldap.lookup import search_all
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.entry import RANGE_OPTION, attribute_at, dn_text, open_entry, without_range
from contactsync.ldap.protocol.messages import EntryBatch
from contactsync.ldap.protocol.requests import ANY_ENTRY, search_op
from contactsync.ldap.protocol.results import SUCCESS
from contactsync.ldap.query.query import Scope
from contactsync.ldap.query.text import shown

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session

_OCTETS = RANGE_OPTION.encode()
_ENTRY, _SET = 0x64, 0x31
_MOST_OCTETS = 64 << 20
"""Of all entries with ranges in a search, which are kept until its last page, and of the values of one attribute."""
_LONGEST = 30
"""Digits of both ends of a range."""


def read_whole(session: Session, batches: Iterator[EntryBatch]) -> Iterator[EntryBatch]:
    """The same batches without the entries that have a range; those follow at the end, completed.

    The pages come first because the connection has one search at a time. Raises IncompleteSnapshot if a value is
    missing.
    """
    parts: list[bytes] = []
    octets = 0
    for batch in batches:
        if _OCTETS not in b"".join(batch.entries):  # one test for the batch, because almost no entry has any
            yield batch
            continue
        whole: list[memoryview | bytes] = []
        for entry in batch.entries:
            copied = bytes(entry)
            if _OCTETS in copied:
                parts.append(copied)
                octets += len(copied)
            else:
                whole.append(entry)
        if octets > _MOST_OCTETS:
            raise _incomplete(session, f"sent more entries with ranges of values than can be kept: {len(parts)}")
        yield replace(batch, entries=whole)
    for part in parts:
        yield EntryBatch(entries=[_whole_entry(session, part)])


def _whole_entry(session: Session, part: bytes) -> bytes:
    """The protocolOp of the completed entry; the values that came in ranges are sorted."""
    dn, position, end = open_entry(part)
    attributes = []
    while position < end:
        description, values, position = attribute_at(part, position, end)
        name, first, last = _range_of(session, dn, description)
        if first is not None:
            _check(session, dn, description, first == 0 and _is_count(values, first, last))
            values = sorted(values if last is None else [*values, *_rest(session, dn, name, last + 1)])
        attributes.append(_attribute(name, values))
    return ber.encode(_ENTRY, ber.encode(ber.OCTET_STRING, dn), ber.encode(ber.SEQUENCE, *attributes))


def _rest(session: Session, dn: bytes, name: str, first: int) -> Iterator[bytes]:
    """The values of an attribute from the index `first` on."""
    octets = 0
    while True:
        description, values = _next(session, dn, f"{name}{RANGE_OPTION}{first}-*")
        got_name, got_first, last = _range_of(session, dn, description)
        _check(session, dn, description, (got_name, got_first) == (name, first) and _is_count(values, first, last))
        octets += sum(map(len, values))
        _check(session, dn, description, octets <= _MOST_OCTETS)
        yield from values
        if last is None:
            return
        first = last + 1


def _next(session: Session, dn: bytes, description: str) -> tuple[str, list[bytes]]:
    """The next values, with the attribute description of the response."""
    entries, result = search_all(session.wire, search_op(dn_text(dn), Scope.BASE, ANY_ENTRY, (description,)))
    if result.code != SUCCESS:
        raise _incomplete(
            session, f"sent a part of {shown(dn_text(dn))}, and instead of {shown(description)} the result {result}"
        )
    attributes = [attribute for entry in entries for attribute in _attributes(entry) if attribute[1]]
    _check(session, dn, description, len(attributes) == 1)
    return attributes[0]


def _attributes(data: bytes) -> Iterator[tuple[str, list[bytes]]]:
    _, position, end = open_entry(data)
    while position < end:
        description, values, position = attribute_at(data, position, end)
        yield description, values


def _range_of(session: Session, dn: bytes, description: str) -> tuple[str, int | None, int | None]:
    """The description without its range, and the range: `first` is None without a range, `last` in the last range."""
    name = without_range(description)
    if name == description:
        return name, None, None
    first, _, last = description.partition(RANGE_OPTION)[2].partition(";")[0].partition("-")
    well_formed = first.isdecimal() and (last == "*" or last.isdecimal()) and len(first + last) < _LONGEST
    _check(session, dn, description, well_formed)
    return name, int(first), None if last == "*" else int(last)


def _is_count(values: list[bytes], first: int, last: int | None) -> bool:
    return last is None or len(values) == last - first + 1


def _attribute(name: str, values: list[bytes]) -> bytes:
    octets = (ber.encode(ber.OCTET_STRING, value) for value in values)
    return ber.encode(ber.SEQUENCE, ber.encode(ber.OCTET_STRING, name.encode()), ber.encode(_SET, *octets))


def _check(session: Session, dn: bytes, description: str, good: bool) -> None:  # noqa: FBT001 -- what is checked
    if not good:
        raise _incomplete(session, f"sent an unexpected part of {shown(dn_text(dn))}: {shown(description)}")


def _incomplete(session: Session, what: str) -> IncompleteSnapshot:
    return IncompleteSnapshot(
        f"{session.server} {what}.",
        hint="Nothing was changed. The entry may have changed at that moment; the next run reads it again.",
    )
