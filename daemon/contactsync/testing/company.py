"""The people of a private server, as its administrator reads and changes them over LDAP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import ldap3

from contactsync.ldap.dn import first_rdn
from contactsync.testing.people import Person, department_dn
from contactsync.testing.slapd import PrivateSlapd

Values = Sequence[str | bytes]

_RELAX_RULES = ("1.3.6.1.4.1.4203.666.5.12", True, None)
"""OpenLDAP's control that allows an administrator to write an entryUUID, as when restoring a backup."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A person's entry on the server."""

    dn: str
    uuid: str
    attributes: Mapping[str, list[bytes]]

    @classmethod
    def of(cls, response: Mapping[str, Any]) -> Self:
        """The entry from one of ldap3's search responses."""
        attributes = dict(response["raw_attributes"])
        return cls(response["dn"], attributes.pop("entryUUID")[0].decode(), attributes)

    def has(self, *names: str) -> bool:
        """Whether it has all these attributes."""
        return all(self.attributes.get(name) for name in names)

    def texts(self, name: str) -> list[str]:
        """The values of an attribute."""
        return [value.decode() for value in self.attributes.get(name, [])]

    def text(self, name: str) -> str:
        """The first value of an attribute, or an empty text."""
        return next(iter(self.texts(name)), "")

    @property
    def name(self) -> str:
        """The person's name for display."""
        return self.text("displayName") or self.text("cn")

    @property
    def rdn(self) -> str:
        """The first part of the DN."""
        return first_rdn(self.dn)

    @property
    def parent(self) -> str:
        """The DN of the person's unit."""
        return self.dn[len(self.rdn) + 1 :]


class Company:
    """The people of a private server. Each change is one LDAP operation."""

    def __init__(self, slapd: PrivateSlapd, connection: ldap3.Connection) -> None:
        self._slapd = slapd
        self._connection = connection

    def people(self) -> list[Entry]:
        """Everyone, sorted by DN."""
        self._connection.search(
            self._slapd.people_base, "(objectClass=inetOrgPerson)", attributes=[ldap3.ALL_ATTRIBUTES, "entryUUID"]
        )
        return sorted(map(Entry.of, self._connection.response), key=lambda entry: entry.dn)

    def entry(self, dn: str) -> Entry:
        """The entry with this DN."""
        self._connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[ldap3.ALL_ATTRIBUTES, "entryUUID"])
        return Entry.of(self._connection.response[0])

    def add(self, person: Person) -> Entry:
        """Add an entry."""
        self._connection.add(person.dn, attributes=person.attributes)
        return self.entry(person.dn)

    def edit(self, entry: Entry, changes: Mapping[str, Values]) -> Entry:
        """Replace the values of attributes."""
        self._connection.modify(entry.dn, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in changes.items()})
        return self.entry(entry.dn)

    def rename(self, entry: Entry, rdn: str) -> Entry:
        """Rename an entry in its unit (modrdn)."""
        self._connection.modify_dn(entry.dn, rdn)
        return self.entry(f"{rdn},{entry.parent}")

    def move(self, entry: Entry, department: str) -> Entry:
        """Move an entry to another unit (modrdn with newSuperior)."""
        unit = department_dn(department)
        self._connection.modify_dn(entry.dn, entry.rdn, new_superior=unit)
        return self.entry(f"{entry.rdn},{unit}")

    def delete(self, entry: Entry) -> None:
        """Delete an entry."""
        self._connection.delete(entry.dn)

    def restore(self, entry: Entry) -> Entry:
        """Add a deleted entry again, with its former entryUUID."""
        attributes = {**entry.attributes, "entryUUID": [entry.uuid]}
        self._connection.add(entry.dn, attributes=attributes, controls=[_RELAX_RULES])
        return self.entry(entry.dn)


@contextmanager
def administered(slapd: PrivateSlapd) -> Iterator[Company]:
    """The people of a running server, over a connection of its administrator."""
    connection = slapd.connection()
    try:
        yield Company(slapd, connection)
    finally:
        connection.unbind()
