"""Reads on where a server sent only the first of an attribute's values, as Active Directory does with 1,500 and more.

It calls them `member;range=0-1499`, and the rest is asked for entry by entry: `member;range=1500-*` ([MS-ADTS], section
3.1.1.3.1.3.3). An entry is put together before it is recognised: two that differ in a later value must not look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from contactsync.errors import IncompleteSnapshot
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.entry import RANGE_OPTION, attribute_at, dn_text, open_entry, without_range
from contactsync.ldap.protocol.messages import SEARCH_DONE, EntryBatch
from contactsync.ldap.protocol.requests import ANY_ENTRY, search_op
from contactsync.ldap.protocol.results import SUCCESS, Result
from contactsync.ldap.query.query import Scope
from contactsync.ldap.query.text import shown

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session

_OCTETS = RANGE_OPTION.encode()
_ENTRY, _SET = 0x64, 0x31
_MOST_OCTETS = 64 << 20
"""Of all entries with ranges in a search, which are kept until its last page, and of one attribute's values."""
_LONGEST = 30
"""Digits of the two ends of a range."""


def read_whole(session: Session, batches: Iterator[EntryBatch]) -> Iterator[EntryBatch]:
    """The same batches, without the entries that hold a range; these come last, put together.

    The connection answers one question at a time, so the pages come first. Raises IncompleteSnapshot when not every
    value of such an entry can be had.
    """
    parts: list[bytes] = []
    octets = 0
    for batch in batches:
        if _OCTETS not in b"".join(batch.entries):  # in one look, since next to no entry has any
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
            raise _incomplete(session, f"sent {len(parts)} entries whose values come in ranges, more than can be kept")
        yield replace(batch, entries=whole)
    for part in parts:
        yield EntryBatch(entries=[_whole_entry(session, part)])


def _whole_entry(session: Session, part: bytes) -> bytes:
    """The protocolOp of the entry with all values, those of what came in ranges in the order of their octets."""
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
    """The values of an attribute from that one on."""
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
    """The next values, with the description under which they came."""
    wire = session.wire
    message_id = wire.send(search_op(dn_text(dn), Scope.BASE, ANY_ENTRY, (description,)))
    found: list[tuple[str, list[bytes]]] = []
    result: Result | None = None
    while result is None:
        batch = wire.read(message_id, SEARCH_DONE)
        for entry in batch.entries:
            found += (pair for pair in _attributes(bytes(entry)) if pair[1])
        result = batch.result
    if result.code != SUCCESS:
        raise _incomplete(session, f"gave a part of {shown(dn_text(dn))}, and instead of {shown(description)} {result}")
    _check(session, dn, description, len(found) == 1)
    return found[0]


def _attributes(data: bytes) -> Iterator[tuple[str, list[bytes]]]:
    _, position, end = open_entry(data)
    while position < end:
        description, values, position = attribute_at(data, position, end)
        yield description, values


def _range_of(session: Session, dn: bytes, description: str) -> tuple[str, int | None, int | None]:
    """The description without its range, and the range: no first one for a whole attribute, no last one for an end."""
    name = without_range(description)
    if name == description:
        return name, None, None
    first, _, last = description.partition(RANGE_OPTION)[2].partition(";")[0].partition("-")
    known = first.isdecimal() and (last == "*" or last.isdecimal()) and len(first + last) < _LONGEST
    _check(session, dn, description, known)
    return name, int(first), None if last == "*" else int(last)


def _is_count(values: list[bytes], first: int, last: int | None) -> bool:
    return last is None or len(values) == last - first + 1


def _attribute(name: str, values: list[bytes]) -> bytes:
    octets = (ber.encode(ber.OCTET_STRING, value) for value in values)
    return ber.encode(ber.SEQUENCE, ber.encode(ber.OCTET_STRING, name.encode()), ber.encode(_SET, *octets))


def _check(session: Session, dn: bytes, description: str, good: bool) -> None:  # noqa: FBT001 -- what is checked
    if not good:
        raise _incomplete(session, f"gave a part of {shown(dn_text(dn))} that does not fit: {shown(description)}")


def _incomplete(session: Session, what: str) -> IncompleteSnapshot:
    return IncompleteSnapshot(
        f"{session.server} {what}.",
        hint="Nothing was changed. Somebody may have changed the entry at that moment; the next run reads it anew.",
    )
