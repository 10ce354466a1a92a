"""Aliases (RFC 4512, section 2.6) below a base without people: they are never followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.errors import NoUsableEntries
from contactsync.ldap.lookup import REFUSALS, read_some
from contactsync.text import counted, quoted

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.query.query import Scope

_MOST = 100


def refuse_aliases(session: Session, base: str, scope: Scope) -> None:
    """Raise NoUsableEntries if a search that found no entry has aliases in its scope; DirectoryError."""
    if session.root_dse.is_active_directory:
        return
    try:
        names = ("aliasedObjectName",)
        found = read_some(session.wire, base, scope, "(objectClass=alias)", names, most=_MOST)
    except REFUSALS:  # the server does not know the class, or does not send pages
        return
    if not found:
        return
    targets = (entry.attributes[names[0].lower()][0] for entry in found if entry.attributes)
    target = quoted(next(targets, b"").decode("utf-8", "replace"))
    least = "at least " if len(found) >= _MOST else ""
    raise NoUsableEntries(
        f"{base or 'The empty base'} has {least}{counted(len(found), 'alias', 'aliases')} and no entry that the"
        " filter finds. Aliases are never followed.",
        hint=f"Search where the entries themselves are: the first alias is of {target}.",
    )
