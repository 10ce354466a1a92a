"""Attribute types (RFC 4512, section 4.1.2) from a server's subschema, and which of their values are derived."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import REFUSALS, read_values

_TYPE = re.compile(r"\(\s*(?P<oid>\S+)(?P<rest>.*)\)\s*", re.DOTALL)
_NAMES = re.compile(r"\sNAME\s+(?:'([^']*)'|\(([^)]*)\))")
_QUOTED = re.compile(r"'[^']*'")
_USAGE = re.compile(r"\sUSAGE\s+(\w+)")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WRITTEN_WITH_THE_ENTRY = _words("""
    entryuuid entrycsn nsuniqueid createtimestamp modifytimestamp creatorsname modifiersname structuralobjectclass
    objectclass entrydn subschemasubentry
""")
"""Operational attributes that change only when the entry itself is written."""
_DERIVED = _words("""
    memberof dgmemberof ismemberof nsrole nsroledn hassubordinates numsubordinates tokengroups directreports
""")
"""Attributes that servers compute or write for another entry, even if their schema does not say so."""
_OF_PEOPLE = _words("""
    audio businesscategory c carlicense cn co departmentnumber description destinationindicator displayname
    employeenumber employeetype facsimiletelephonenumber generationqualifier givenname guid homephone
    homepostaladdress initials internationalisdnnumber ipauniqueid jpegphoto l labeleduri mail manager mobile o ou
    pager personaltitle photo physicaldeliveryofficename postaladdress postalcode postofficebox preferredlanguage
    registeredaddress roomnumber secretary seealso sn st street telephonenumber telexnumber title uid
    usercertificate usersmimecertificate x500uniqueidentifier
""")
"""User attributes of RFC 2798, 4519 and 4524, and the identities of other products."""


@dataclass(frozen=True, slots=True)
class AttributeType:
    """An attribute type: its numeric OID, its names (the first is the one that servers answer with), its usage."""

    oid: str
    names: tuple[str, ...]
    is_operational: bool

    @property
    def is_derived(self) -> bool:
        """Whether its values can change without a write of the entry."""
        names = {name.lower() for name in self.names}
        if names & _DERIVED:
            return True
        return self.is_operational and not names & _WRITTEN_WITH_THE_ENTRY


def parse_attribute_type(text: str) -> AttributeType | None:
    """Parse an AttributeTypeDescription; None for text of another form."""
    match = _TYPE.fullmatch(text.strip())
    if match is None:
        return None
    rest = match["rest"]
    listed = _NAMES.search(rest)
    names = re.findall(r"'([^']*)'", listed[0]) if listed else []
    plain = _QUOTED.sub("", rest)
    usage = _USAGE.search(plain)
    operational = "NO-USER-MODIFICATION" in plain or bool(usage and usage[1] != "userApplications")
    return AttributeType(match["oid"], tuple(names), operational)


def read_attribute_types(session: Session, descriptions: Iterable[str]) -> dict[str, AttributeType]:
    """The types of attribute descriptions (names or OIDs; options are ignored), by the description in lower case.

    Types that the server does not have, or hides from this user, are missing. Raises DirectoryError.
    """
    wanted = {description: description.partition(";")[0].lower() for description in descriptions}
    try:
        values = read_values(session.wire, session.root_dse.subschema, ("attributeTypes",))
    except REFUSALS:
        return {}
    types: dict[str, AttributeType] = {}
    for value in values.get("attributetypes", ()):
        if described := parse_attribute_type(value.decode("utf-8", "replace")):
            types |= dict.fromkeys([described.oid.lower(), *map(str.lower, described.names)], described)
    return {description.lower(): types[name] for description, name in wanted.items() if name in types}


def derived_attribute(session: Session, descriptions: Iterable[str]) -> str | None:
    """The first of these attributes that can change without a write of the entry; None if there is none.

    The subschema is read only for names that are not standard. Raises DirectoryError.
    """
    names = sorted({description.partition(";")[0] for description in descriptions}, key=str.lower)
    if derived := next((name for name in names if name.lower() in _DERIVED), None):
        return derived
    unclear = [name for name in names if name.lower() not in _OF_PEOPLE | _WRITTEN_WITH_THE_ENTRY]
    if not unclear:
        return None
    types = read_attribute_types(session, unclear)
    return next((name for name in unclear if name.lower() in types and types[name.lower()].is_derived), None)
