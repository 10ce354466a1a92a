"""What contactsync must do to a folder, in few lines of Python, for the state machine to compare with.

Fields after docs/mapping.md, the guard after README.md. Contacts are stored by the identity of their entries.
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
        after = {key: self.definition.merged(self.contacts.get(key), entry) for key, entry in found.items()}
        inserted = after.keys() - self.contacts.keys()
        updated = {key for key in after.keys() & self.contacts.keys() if after[key] != self.contacts[key]}
        deleted = frozenset(self.contacts.keys() - after.keys())
        held = self._must_hold(deleted, found) and not (self.approved is not None and deleted <= self.approved)
        outcome = "held" if held else "changed" if inserted or updated or deleted else "unchanged"
        return Expected(outcome, after, len(inserted), len(updated), deleted)

    def _must_hold(self, deleted: frozenset[str], found: dict[str, Contact]) -> bool:
        definition, number = self.definition, len(deleted)
        if not deleted:
            return False
        if self.followed not in {None, definition.source}:
            return True
        if not found:
            return not definition.allow_empty
        most = 500 if definition.max_delete_count is None else definition.max_delete_count
        return number > most or (number > ALWAYS_ALLOW and number > DELETE_SHARE * len(self.contacts))

    def follow(self, expected: Expected) -> None:
        """A run was applied."""
        self.contacts = deepcopy(expected.contacts)
        self.followed = self.definition.source
        self.approved = None
