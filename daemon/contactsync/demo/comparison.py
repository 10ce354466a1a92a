"""Compares whole folders with the directory: who is in them, and what stands there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contactsync.demo.assertions import expect
from contactsync.demo.scenes import SALES, STAFF, is_in_sales

if TYPE_CHECKING:
    from contactsync.demo.database import Contact, Folder, Watcher
    from contactsync.testing.company import Entry

_LISTS = {"emails": "mail", "mobile_phones": "mobile", "work_phones": "telephoneNumber"}
_SAMPLE_LANGUAGES = ("de", "pl", "el", "uk", "ja", "ko")
"""Of the languages in the directory these are in scripts that every terminal can set in columns."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a folder has to hold: whom, under one of which names, and whether with photos."""

    takes: Callable[[Entry], bool]
    names: Callable[[Entry], Sequence[str]]
    photos: bool


CONTENTS = {
    STAFF: Content(lambda entry: True, lambda entry: entry.texts("displayName") or entry.texts("cn"), photos=True),  # noqa: ARG005
    SALES: Content(
        lambda entry: is_in_sales(entry.dn) and entry.has("mobile"),
        lambda entry: [f"{entry.text('sn')}, {entry.text('givenName')}"],
        photos=False,
    ),
}


def check_content(folder: Folder, everyone: Iterable[Entry], watcher: Watcher) -> dict[int, Contact]:
    """Raise Surprise unless a folder is what its definition makes of the directory; gives its contacts by id."""
    content = CONTENTS[folder.label]
    people = [entry for entry in everyone if content.takes(entry)]
    contacts = watcher.contacts(folder)
    _check_contacts(folder.label, people, contacts.values(), content.names)
    _check_photos(folder.label, people if content.photos else [], watcher.photos(folder))
    return contacts


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


def _check_contacts(
    label: str, people: Sequence[Entry], contacts: Iterable[Contact], names: Callable[[Entry], Sequence[str]]
) -> None:
    by_key = {contact.key: contact.fields for contact in contacts if contact.key is not None}
    expect(
        that=by_key.keys() == {entry.uuid for entry in people},
        expected=f"{label} to hold the {len(people):,} people that its query finds",
        saw=f"{len(by_key):,} contacts, not all of the same entries",
    )
    for entry in people:
        fields = by_key[entry.uuid]
        wrong = [name for name, source in _LISTS.items() if sorted(fields[name]) != sorted(entry.texts(source))]
        wrong += ["source_dn"] if fields["source_dn"] != entry.dn else []
        wrong += ["display_name"] if fields["display_name"] not in names(entry) else []
        expect(
            that=not wrong,
            expected=f"{', '.join(wrong)} of {entry.dn} in {label} as in the directory",
            saw=", ".join(str(fields[name]) for name in wrong),
        )


def _check_photos(label: str, people: Iterable[Entry], photos: Mapping[str, bytes]) -> None:
    portrayed = {entry.uuid: entry.attributes["jpegPhoto"][0] for entry in people if entry.has("jpegPhoto")}
    expect(
        that=photos == portrayed,
        expected=f"the {len(portrayed):,} photos of {label} to be those of the directory, octet for octet",
        saw=f"{len(photos):,} photos, not all of them the same",
    )
