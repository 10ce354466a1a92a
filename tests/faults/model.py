"""What contactsync must do to a folder, in few lines of Python, for the state machine to compare with.

Fields after docs/reference/mapping.md, the guard after docs/explanation/deletions.md.
Contacts are stored by the identity of their entries.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.faults.expected import Contact

MAPPINGS: dict[str, dict[str, Any] | None] = {
    "preset": None,
    "policies": {"fields": {"notes": {"policy": "fill"}, "city": {"policy": "insert"}}},
    "swapped": {"fields": {"title": "sn", "nickname": "title"}},
    "shorter": {"fields": {"emails": None, "title": "Staff: {sn}"}},
}
ALWAYS_ALLOW, DELETE_SHARE = 2, 0.5


@dataclass
class Definition:
    """The columns that decide about contacts."""

    base: str | None = None
    filter: str | None = None
    mapping: str = "preset"
    max_delete_count: int | None = None
    allow_empty: bool = False
    mode: str = "full"

    @property
    def source(self) -> tuple[str | None, str | None]:
        """What is searched; after an edit of it no run deletes contacts without an approval."""
        return self.base, self.filter

    def mapped(self, found: Contact) -> Contact:
        """The contact of an entry under this mapping, from its contact under the preset; without unmapped fields."""
        contact = dict(found)
        if self.mapping == "swapped":
            contact |= {"title": found["family_name"], "nickname": found["title"]}
        if self.mapping == "shorter":
            del contact["emails"]
            contact["title"] = f"Staff: {found['family_name']}"
        return contact

    def merged(self, old: Contact | None, found: Contact) -> Contact:
        """The contact after a run."""
        new = self.mapped(found)
        if old is None:
            return {"nickname": None, "emails": []} | new
        if self.mapping == "policies":
            new["notes"] = old["notes"] or new["notes"]
            new["city"] = old["city"]
        return old | new


@dataclass(frozen=True)
class Expected:
    """What a run must do."""

    outcome: str
    contacts: dict[str, Contact]
    inserted: int
    updated: int
    deleted: frozenset[str]
    rekeyed: dict[str, str] = field(default_factory=dict)
    """The former identity of each contact that is recognised under a new one."""


@dataclass
class Folder:
    """The contacts of the definition, their ids, those of no definition, and what else is stored."""

    definition: Definition = field(default_factory=Definition)
    contacts: dict[str, Contact] = field(default_factory=dict)
    own: dict[int, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    followed: tuple[str | None, str | None] | None = None
    """The source of the last run that was applied."""
    approved: frozenset[str] | None = None
    """The approved deletions."""

    def expect(self, found: dict[str, Contact]) -> Expected:
        """What a run must do if the directory has these entries."""
        gone = {key: contact for key, contact in self.contacts.items() if key not in found}
        new = {key: self.definition.mapped(entry) for key, entry in found.items() if key not in self.ids}
        rekeyed = recognised(gone, new)
        before = self.contacts | {new: self.contacts[old] for new, old in rekeyed.items()}
        after = {key: self.definition.merged(before.get(key), entry) for key, entry in found.items()}
        inserted = after.keys() - before.keys()
        updated = {key for key in after.keys() & before.keys() if key in rekeyed or after[key] != before[key]}
        deleted = frozenset(gone.keys() - rekeyed.values())
        held = self._must_hold(deleted, found) and not (self.approved is not None and deleted <= self.approved)
        outcome = "held" if held else "changed" if inserted or updated or deleted else "unchanged"
        return Expected(outcome, after, len(inserted), len(updated), deleted, rekeyed)

    def _must_hold(self, deleted: frozenset[str], found: dict[str, Contact]) -> bool:
        definition, number = self.definition, len(deleted)
        if not deleted:
            return False
        if self.followed not in {None, definition.source}:
            return True
        if number == len(self.contacts) and not (found and (definition.allow_empty or number == 1)):
            return not definition.allow_empty
        most = 500 if definition.max_delete_count is None else definition.max_delete_count
        return number > most or (number > ALWAYS_ALLOW and number > DELETE_SHARE * len(self.contacts))

    def follow(self, expected: Expected) -> None:
        """A run was applied."""
        self.contacts = deepcopy(expected.contacts)
        for new, old in expected.rekeyed.items():
            self.ids[new] = self.ids.pop(old)
        self.followed = self.definition.source
        self.approved = None


def recognised(contacts: dict[str, Contact], entries: dict[str, Contact]) -> dict[str, str]:
    """The contact of each entry with another identity, by DN or mail: nobody here has an employee number."""
    partners: dict[str, str] = {}
    for kind in ("dn", "mail"):
        holders: dict[str, tuple[set[str], set[str]]] = {}
        for side, people in enumerate((contacts, entries)):
            for key, person in people.items():
                for value in [person["source_dn"]] if kind == "dn" else _addresses(person):
                    holders.setdefault(value, (set(), set()))[side].add(key)
        pairs = {(*old, *new) for old, new in holders.values() if len(old) == len(new) == 1}
        for old, new in sorted(pairs):
            alone = not any((old == o) != (new == n) for o, n in pairs)
            free = old not in partners.values() and new not in partners
            if alone and free and _is_same(kind, contacts[old], entries[new]):
                partners[new] = old
    return partners


def _is_same(kind: str, contact: Contact, entry: Contact) -> bool:
    names = [(person["display_name"] or "").lower() for person in (contact, entry)]
    addresses = [_addresses(person) for person in (contact, entry)]
    same_name = all(names) and names[0] == names[1]
    if kind == "mail":
        return same_name
    comparable = all(names) or all(addresses)
    return same_name or bool(addresses[0] & addresses[1]) or not comparable


def _addresses(person: Contact) -> set[str]:
    return {address.lower() for address in person.get("emails", [])}
