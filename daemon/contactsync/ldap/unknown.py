"""Leaves out of a search what OpenLDAP does not know anyway, because it is slow at not knowing.

For every attribute of every entry slapd looks each requested name up again that its schema does not have; the few other
servers' identities that are asked for on suspicion made a search a tenth longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.ldap.lookup import read_texts, read_values
from contactsync.ldap.presets import INET_ORG_PERSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contactsync.ldap.connect import Session

_OF_OPENLDAP = ("entryUUID", "entryCSN")
"""Every entry has both in a database of OpenLDAP's own, and none has them behind a proxy to another product."""
_KNOWN = "attributeTypes"


def worth_asking(session: Session, base: str, attributes: Sequence[str], identity: Sequence[str]) -> tuple[str, ...]:
    """The attributes without those identities that no entry below this base can have; raises DirectoryError.

    Only of the list that stands for all products: an identity that a person chose is asked for. All of them at other
    servers, and where the server hides from this user what it knows. (A proxy passes on what its schema does not have,
    so nothing else can be left out.)
    """
    everything = tuple(attributes)
    if not session.root_dse.is_openldap or tuple(identity) != INET_ORG_PERSON.identity:
        return everything
    found = read_values(session.wire, base, _OF_OPENLDAP)
    if not all(found.get(name.lower()) for name in _OF_OPENLDAP):
        return everything
    types = read_texts(session.wire, session.root_dse.subschema_subentry or "", (_KNOWN,)).get(_KNOWN.lower(), ())
    known = "\n".join(types).lower()
    if not _is_in(known, _OF_OPENLDAP[0]):
        return everything
    unknown = {name for name in identity if not _is_in(known, name)}
    return tuple(name for name in everything if name not in unknown)


def _is_in(types: str, name: str) -> bool:
    """Whether an attribute type description (RFC 4512, section 4.1.2) gives this name; in lower case."""
    return f"'{name.lower()}'" in types
