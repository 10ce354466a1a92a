"""Leaves out of a search what OpenLDAP does not know anyway, because it is slow at not knowing.

For every attribute of every entry slapd looks each requested name up again that its schema does not have; the few other
servers' identities that are asked for on suspicion made a search a tenth longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.ldap.lookup import REFUSALS, read_values
from contactsync.mapping.presets import INET_ORG_PERSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contactsync.ldap.connection.session import Session

_OF_OPENLDAP = ("entryUUID", "entryCSN")
"""Every entry has both in a database of OpenLDAP's own, and none has them behind a proxy to another product."""


def worth_asking(session: Session, base: str, attributes: Sequence[str], identity: Sequence[str]) -> tuple[str, ...]:
    """The attributes without those identities that no entry below this base can have; raises DirectoryError.

    Only of the list that stands for all products: an identity that a person chose is asked for. All of them at other
    servers, and where the server does not tell this user what it knows. (A proxy passes on what its schema does not
    have, so nothing else can be left out.)
    """
    everything = tuple(attributes)
    if not session.root_dse.is_openldap or tuple(identity) != INET_ORG_PERSON.identity:
        return everything
    try:
        unknown = _unknown(session, base, identity)
    except REFUSALS:
        return everything
    return tuple(name for name in everything if name not in unknown)


def _unknown(session: Session, base: str, names: Sequence[str]) -> set[str]:
    """Those of the names that neither the schema nor an entry below the base has; none when that cannot be told."""
    found = read_values(session.wire, base, _OF_OPENLDAP)
    if not all(found.get(name.lower()) for name in _OF_OPENLDAP):
        return set()
    unknown = {name for name in names if not _knows(session, name)}
    return unknown if unknown.isdisjoint(_OF_OPENLDAP) else set()


def _knows(session: Session, name: str) -> bool:
    """Whether the server's schema has an attribute of this name; its whole text would be as much as 150 people.

    By objectIdentifierFirstComponentMatch, which takes names as well as numbers (RFC 4517, section 4.2.26).
    """
    return bool(read_values(session.wire, session.root_dse.subschema, ("objectClass",), f"(attributeTypes={name})"))
