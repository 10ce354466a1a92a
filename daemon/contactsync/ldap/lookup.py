"""Reads one entry by its name, or the entries of a small search."""

from __future__ import annotations

from collections.abc import Sequence

from contactsync.errors import AccessRefused, BaseNotFound, FilterRefused, IncompleteSnapshot, ProtocolViolation
from contactsync.ldap.connection.limits import LOOKUP_BYTES
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.messages import SEARCH_DONE
from contactsync.ldap.protocol.requests import ANY_ENTRY, paging_control, search_op
from contactsync.ldap.protocol.results import (
    INSUFFICIENT_ACCESS,
    NO_SUCH_OBJECT,
    SUCCESS,
    FailedSearch,
    Result,
    search_error,
)
from contactsync.ldap.query.query import Scope

REFUSALS = (AccessRefused, BaseNotFound, FilterRefused, IncompleteSnapshot)
"""Errors of an optional lookup, which do not fail the run."""

_MOST_ENTRIES = 100_000
_HIDDEN = {NO_SUCH_OBJECT, INSUFFICIENT_ACCESS}


def read_values(
    wire: Wire, name: str, attributes: Sequence[str], search_filter: str = ANY_ENTRY
) -> dict[str, list[bytes]]:
    """The values of the entry `name`, by attribute in lower case.

    Empty if the filter does not match it or the server hides it from this user. Raises DirectoryError.
    """
    entries = _read(wire, name, Scope.BASE, search_filter, attributes)
    return entries[-1].attributes if entries else {}


def read_texts(wire: Wire, name: str, attributes: Sequence[str]) -> dict[str, list[str]]:
    """The same for values that are text."""
    values = read_values(wire, name, attributes)
    return {attribute: [value.decode("utf-8", "replace") for value in values[attribute]] for attribute in values}


def read_some(
    wire: Wire,
    base: str,
    scope: Scope,
    search_filter: str,
    attributes: Sequence[str],
    *,
    most: int,
    deleted: bool = False,
) -> list[Entry]:
    """The first page of a search, of `most` entries; empty if the server hides the base. Raises DirectoryError.

    With `deleted` Active Directory includes deleted objects.
    """
    return _read(wire, base, scope, search_filter, attributes, paging_control(most, b"", deleted=deleted))


def search_all(wire: Wire, op: bytes, controls: bytes = b"") -> tuple[list[bytes], Result]:
    """The entries of a small search, each the octets of its protocolOp, and its result. Raises DirectoryError.

    A server that sends more than a small search can have is not listened to any longer, since all of it is in memory.
    """
    message_id = wire.send(op, controls)
    entries: list[bytes] = []
    octets = 0
    while True:
        batch = wire.read(message_id, SEARCH_DONE)
        entries += map(bytes, batch.entries)
        octets += sum(map(len, batch.entries))
        if octets > LOOKUP_BYTES or len(entries) > _MOST_ENTRIES:
            raise ProtocolViolation(f"{wire.server} sent {len(entries):,} entries in response to a small search.")
        if batch.result:
            return entries, batch.result


def _read(
    wire: Wire, base: str, scope: Scope, search_filter: str, attributes: Sequence[str], controls: bytes = b""
) -> list[Entry]:
    entries, result = search_all(wire, search_op(base, scope, search_filter, attributes), controls)
    if result.code not in {SUCCESS, *_HIDDEN}:
        raise search_error(
            result, FailedSearch(server=wire.server, base=base, filter=search_filter, entries=len(entries))
        )
    return list(map(decode_entry, entries))
