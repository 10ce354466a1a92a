"""The attributes that a search should request: without those that OpenLDAP is known not to have.

slapd looks up each requested attribute that its schema does not have again for every entry. The identities of other
products, which a mapping requests in case they exist, made a search a tenth slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.ldap.lookup import REFUSALS, read_values
from contactsync.mapping.presets import INET_ORG_PERSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.search import SearchRequest

_OPERATIONAL = ("entryUUID", "entryCSN")
"""Every entry of an OpenLDAP database has both. No entry has them behind a proxy to another product."""


def existing_attributes(session: Session, request: SearchRequest, identity: Sequence[str]) -> tuple[str, ...]:
    """The requested attributes without those identities that no entry below the base can have. Raises DirectoryError.

    Returns all of them if the server is not OpenLDAP, if the mapping sets an identity of its own, or if the server
    refuses to show its schema. Only identities are removed, because a proxy passes on attributes that are not in its
    schema.
    """
    missing = set()
    if session.root_dse.is_openldap and tuple(identity) == INET_ORG_PERSON.identity:
        try:
            missing = _missing(session, request.base, identity)
        except REFUSALS:
            return request.attributes
    return tuple(name for name in request.attributes if name not in missing)


def _missing(session: Session, base: str, names: Sequence[str]) -> set[str]:
    values = read_values(session.wire, base, _OPERATIONAL)
    if not all(values.get(name.lower()) for name in _OPERATIONAL):
        return set()
    missing = {name for name in names if not _is_in_schema(session, name)}
    return missing if missing.isdisjoint(_OPERATIONAL) else set()


def _is_in_schema(session: Session, name: str) -> bool:
    """Search by objectIdentifierFirstComponentMatch, which takes names too (RFC 4517, section 4.2.26).

    The whole schema would be as large as 150 entries.
    """
    return bool(read_values(session.wire, session.root_dse.subschema, ("objectClass",), f"(attributeTypes={name})"))
