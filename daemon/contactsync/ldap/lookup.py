"""Reads one entry by its name, or a few: the root DSE, a naming context, where servers tell of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from contactsync.errors import AccessRefused, BaseNotFound, FilterRefused, IncompleteSnapshot
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.messages import SEARCH_DONE
from contactsync.ldap.protocol.requests import paging_control, search_op
from contactsync.ldap.protocol.results import INSUFFICIENT_ACCESS, NO_SUCH_OBJECT, SUCCESS, search_error
from contactsync.ldap.query.query import Scope

ANYTHING = "(objectClass=*)"
REFUSALS = (AccessRefused, BaseNotFound, FilterRefused, IncompleteSnapshot)
"""That a server does not answer a question which only might spare a run some work is no fault of the run's."""

_HIDDEN = {NO_SUCH_OBJECT, INSUFFICIENT_ACCESS}


def read_values(
    wire: Wire, name: str, attributes: Sequence[str], search_filter: str = ANYTHING
) -> dict[str, list[bytes]]:
    """The values of the entry `name`, by attribute in lower case.

    Empty when the filter does not match it, and when the server hides it from this user. Raises DirectoryError.
    """
    message_id = wire.send(search_op(name, Scope.BASE, search_filter, attributes))
    found: dict[str, list[bytes]] = {}
    while True:
        batch = wire.read(message_id, SEARCH_DONE)
        for entry in batch.entries:
            found = decode_entry(entry).attributes
        if batch.result:
            if batch.result.code not in {SUCCESS, *_HIDDEN}:
                raise search_error(
                    batch.result, server=wire.server, base=name, search_filter=search_filter, entries=len(found)
                )
            return found


def read_texts(wire: Wire, name: str, attributes: Sequence[str]) -> dict[str, list[str]]:
    """The same for values that are text."""
    found = read_values(wire, name, attributes)
    return {attribute: [value.decode("utf-8", "replace") for value in found[attribute]] for attribute in found}


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
    """The first page of a search, of `most` entries; empty when the server hides the base. Raises DirectoryError.

    With `deleted` deleted objects are among them, at Active Directory.
    """
    message_id = wire.send(
        search_op(base, scope, search_filter, attributes), paging_control(most, b"", deleted=deleted)
    )
    found: list[Entry] = []
    while True:
        batch = wire.read(message_id, SEARCH_DONE)
        found += map(decode_entry, batch.entries)
        if batch.result:
            if batch.result.code not in {SUCCESS, *_HIDDEN}:
                raise search_error(
                    batch.result, server=wire.server, base=base, search_filter=search_filter, entries=len(found)
                )
            return found
