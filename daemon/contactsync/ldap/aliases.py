"""Aliases (RFC 4512, section 2.6) below a base: they are never followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from contactsync.errors import NoUsableEntries
from contactsync.ldap.lookup import search_all
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.requests import search_op
from contactsync.ldap.protocol.results import LIMITS, SUCCESS
from contactsync.text import counted, quoted

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.query.query import Scope

_MOST = 100
_TARGET = "aliasedObjectName"


class Aliases(NamedTuple):
    """How many aliases there are, as words, and the name of the entry that the first one points to."""

    number: str
    target: str


def find_aliases(session: Session, base: str, scope: Scope) -> Aliases | None:
    """The aliases in the scope of a search; None if there are none, or if the server does not say. DirectoryError."""
    if session.root_dse.is_active_directory:
        return None
    # Without pages: for a paged search OpenLDAP goes through the whole directory.
    op = search_op(base, scope, "(objectClass=alias)", (_TARGET,), size_limit=_MOST)
    entries, result = search_all(session.wire, op)
    if result.code not in {SUCCESS, *LIMITS} or not entries:
        return None
    values = (decode_entry(entry).attributes.get(_TARGET.lower()) for entry in entries)
    target = next((value[0] for value in values if value), b"")
    least = "" if result.code == SUCCESS else "at least "
    return Aliases(least + counted(len(entries), "alias", "aliases"), quoted(target.decode("utf-8", "replace")))


def refuse_aliases(session: Session, base: str, scope: Scope) -> None:
    """Raise NoUsableEntries if a search that found no entry has aliases in its scope; DirectoryError."""
    if aliases := find_aliases(session, base, scope):
        raise NoUsableEntries(
            f"{base or 'The empty base'} has {aliases.number} and no entry that the filter finds. Aliases are never"
            " followed.",
            hint=f"Search where the entries themselves are: the first alias is of {aliases.target}.",
        )
