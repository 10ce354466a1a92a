"""Compares the folders with the directory, and their changes with the recorded history; a difference is a DemoError."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contactsync.demo.database import Contact, Database, Folder, Recorded
from contactsync.demo.errors import expect
from contactsync.demo.scenarios import STAFF, Expected, is_in_sales
from contactsync.errors import DemoError
from contactsync.testing.company import Entry

_LISTS = {"emails": "mail", "mobile_phones": "mobile", "work_phones": "telephoneNumber"}
_SAMPLE_LANGUAGES = ("de", "pl", "el", "uk", "ja", "ko")
"""Languages in scripts that every terminal can align in columns."""
_BLANK: tuple[Any, ...] = (None, [], {})

Contacts = Mapping[int, "Contact"]
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one contact, `fields` before and after, and the last run that did it."""

    label: str
    contact_id: int
    key: str | None
    action: str
    name: str
    fields: Mapping[str, tuple[Any, Any]]
    run_id: int
    finished_at: datetime

    def __str__(self) -> str:
        new = {name: after for name, (_, after) in self.fields.items()} if self.action == "update" else ""
        return f"{self.action} of {self.name} (id {self.contact_id}) {new}".rstrip()


def check_content(folder: Folder, everyone: Iterable[Entry], database: Database) -> dict[int, Contact]:
    """Check that a folder holds what its definition makes of the directory; its contacts by id."""
    label = folder.label
    people = [entry for entry in everyone if label == STAFF or (is_in_sales(entry.dn) and entry.has("mobile"))]
    contacts = database.contacts(folder)
    by_key = {contact.key: contact.fields for contact in contacts.values() if contact.key is not None}
    expect(
        that=by_key.keys() == {entry.uuid for entry in people},
        expected=f"{label} to hold the {len(people):,} people that its query finds",
        found=f"{len(by_key):,} contacts, not all of the same entries",
    )
    for entry in people:
        _check_fields(label, entry, by_key[entry.uuid])
    photos = {e.uuid: e.attributes["jpegPhoto"][0] for e in people if e.has("jpegPhoto")} if label == STAFF else {}
    expect(
        that=database.photos(folder) == photos,
        expected=f"the {len(photos):,} photos of {label} to be those of the directory, octet for octet",
        found="other photos",
    )
    return contacts


def _check_fields(label: str, entry: Entry, fields: Fields) -> None:
    names = [f"{entry.text('sn')}, {entry.text('givenName')}"]
    if label == STAFF:
        names = entry.texts("displayName") or entry.texts("cn")
    wrong = [name for name, source in _LISTS.items() if sorted(fields[name]) != sorted(entry.texts(source))]
    wrong += ["source_dn"] if fields["source_dn"] != entry.dn else []
    wrong += ["display_name"] if fields["display_name"] not in names else []
    expect(
        that=not wrong,
        expected=f"{', '.join(wrong)} of {entry.dn} in {label} as in the directory",
        found=", ".join(str(fields[name]) for name in wrong),
    )


def sample(people: Iterable[Entry], contacts: Iterable[Contact]) -> list[tuple[str, str, str]]:
    """Name, address and phone of contacts that have all three, one for each of several languages."""
    by_key = {contact.key: contact.fields for contact in contacts}
    chosen: dict[str, tuple[str, str, str]] = {}
    for entry in people:
        if entry.uuid in by_key and entry.has("displayName", "mail", "telephoneNumber"):
            fields = by_key[entry.uuid]
            row = (fields["display_name"], fields["emails"][0], fields["work_phones"][0])
            chosen.setdefault(entry.text("preferredLanguage"), row)
    return [chosen[language] for language in _SAMPLE_LANGUAGES if language in chosen]


def changes_between(label: str, before: Contacts, after: Contacts, history: Iterable[Recorded]) -> list[Change]:
    """The changes of a folder from one state to another.

    Checks that they are what the history records, and that no other row was written.
    """
    state: dict[int, Fields | None] = {contact_id: contact.fields for contact_id, contact in before.items()}
    last: dict[int, Recorded] = {}
    for recorded in history:
        if recorded.label == label:
            last[recorded.contact_id] = recorded
            _replay(recorded, state)
    for contact_id in before.keys() | after.keys():
        old, new, fields = before.get(contact_id), after.get(contact_id), state.get(contact_id, {})
        expect(
            that=fields is None or not _differences(fields, new.fields if new else {}),
            expected=f"the history of {label} to record what became of contact {contact_id}",
            found=str(last.get(contact_id, "nothing")),
        )
        expect(
            that=contact_id in last or (old and old.version) == (new and new.version),
            expected=f"the row of contact {contact_id} in {label} to be left alone",
            found="that it was written",
        )
    return [_change(recorded, before.get(contact_id), after.get(contact_id)) for contact_id, recorded in last.items()]


def _replay(recorded: Recorded, state: dict[int, Fields | None]) -> None:
    """Do to `state` what the history records; None is a contact whose fields it does not record, since it is new."""
    fields = state.pop(recorded.contact_id, {})
    if recorded.action == "insert":
        fields = None
    if fields is not None:
        changes = recorded.changes or {}
        old = {name: pair[0] for name, pair in changes.items()}
        expect(
            that=not _differences(old, fields if recorded.action == "delete" else {name: fields[name] for name in old}),
            expected=f"the history of {recorded.label} to record what contact {recorded.contact_id} was",
            found=f"{recorded.action} {old}",
        )
        fields = {**fields, **{name: pair[1] for name, pair in changes.items()}}
    if recorded.action != "delete":
        state[recorded.contact_id] = fields


def _change(recorded: Recorded, old: Contact | None, new: Contact | None) -> Change:
    contact = new or old
    if contact is None:
        raise DemoError(f"a contact {recorded.contact_id} in {recorded.label}", "none")
    action = "insert" if old is None else "delete" if new is None else "update"
    fields = _differences(old.fields if old else {}, new.fields if new else {})
    name = recorded.display_name or ""
    return Change(
        recorded.label, recorded.contact_id, contact.key, action, name, fields, recorded.run_id, recorded.finished_at
    )


def _differences(old: Fields, new: Fields) -> dict[str, tuple[Any, Any]]:
    """The fields whose values differ, with both; blank values of different types are equal."""
    pairs = {name: (old.get(name), new.get(name)) for name in old.keys() | new.keys()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and not all(v in _BLANK for v in pair)}


def check_changes(expected: Sequence[Expected], changes: Iterable[Change]) -> None:
    """Check that exactly the expected changes happened."""
    found = {(change.label, change.key): change for change in changes}
    for wanted in expected:
        change = found.pop((wanted.label, wanted.key), None)
        new = {name: after for name, (_, after) in change.fields.items()} if change else {}
        right = change is not None and change.action == wanted.action
        if wanted.action == "update":
            right = right and new.keys() == wanted.fields.keys()
            right = right and all(value in (new[name], ...) for name, value in wanted.fields.items())
        expect(
            that=right,
            expected=f"{wanted.action} of {wanted.name} in {wanted.label} {dict(wanted.fields) or ''}",
            found=str(change or "no change"),
        )
    for change in found.values():
        raise DemoError(f"no other change in {change.label}", str(change))
