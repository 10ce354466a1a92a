"""Holds what the demo sees in the database against what it did in the directory; any difference is a Surprise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contactsync.demo.errors import DemoError

if TYPE_CHECKING:
    from contactsync.demo.database import Contact, Recorded

Change = Mapping[str, tuple[Any, Any]]
"""Before and after of every field that differs."""

_BLANK: tuple[Any, ...] = (None, [], {})


@dataclass(frozen=True, slots=True)
class Expected:
    """What a change in the directory is to do to one contact: `fields` are the new values, `...` for any other one."""

    label: str
    action: str
    key: str
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What happened to one contact, in the end, and when it was there."""

    label: str
    contact_id: int
    action: str
    name: str
    change: Change
    run_id: int
    finished_at: datetime


def expect(*, that: bool, expected: str, saw: str) -> None:
    """Raise Surprise unless it is so."""
    if not that:
        raise DemoError(expected, saw)


class Identities:
    """Remembers which contact stands for which entry: once given, an id is that entry's for good."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], int] = {}

    def check(self, label: str, contacts: Mapping[int, Contact]) -> None:
        """Every entry has the id that it had before, also one that was gone in between."""
        for contact in contacts.values():
            if contact.key is None:
                continue
            known = self._ids.setdefault((label, contact.key), contact.contact_id)
            expect(
                that=known == contact.contact_id,
                expected=f"{_name(contact)} in {label} to keep the id {known}",
                saw=f"the id {contact.contact_id}",
            )


def arrivals(
    label: str, before: Mapping[int, Contact], after: Mapping[int, Contact], recorded: Iterable[Recorded]
) -> list[Arrival]:
    """What became of the contacts of one folder, with the run that the history says brought it.

    Raises Surprise when the history tells anything else than the rows, or a row was written without a change.
    """
    history = _merged(entry for entry in recorded if entry.label == label)
    found = []
    for contact_id in sorted(before.keys() | after.keys() | history.keys()):
        old, new, told = before.get(contact_id), after.get(contact_id), history.get(contact_id)
        change = _difference(old, new)
        if told is None and not change:
            _check_untouched(label, old, new)
        else:
            found.append(_checked(label, contact_id, told, _action(old, new) if change else "nothing", change))
    return found


def _checked(label: str, contact_id: int, told: Arrival | None, action: str, change: Change) -> Arrival:
    """The arrival as the history tells it, with the change that the rows show; Surprise when the two differ."""
    saw = f"{told.action} {dict(told.change)}" if told else "nothing about it"
    same = told is not None and told.action == action and (action == "insert" or told.change == change)
    expect(that=same, expected=f"the history of {label} to tell {action} {dict(change) or ''} of {contact_id}", saw=saw)
    if told is None:
        raise AssertionError
    return replace(told, change=change)


def check_arrivals(
    expected: Iterable[Expected], found: Iterable[Arrival], keys: Mapping[tuple[str, int], str | None]
) -> None:
    """Raise Surprise unless exactly what was expected came. `keys`: those of all contacts, by label and id."""
    keyed = {(arrival.label, keys[arrival.label, arrival.contact_id]): arrival for arrival in found}
    for wish in expected:
        arrival = keyed.pop((wish.label, wish.key), None)
        saw = _told(arrival) if arrival else "nothing of it"
        right = arrival is not None and arrival.action == wish.action and _fulfils(wish, arrival)
        expect(that=right, expected=f"{wish.action} of {wish.name} in {wish.label} {dict(wish.fields) or ''}", saw=saw)
    for arrival in keyed.values():
        raise DemoError(f"no other change in {arrival.label}", _told(arrival))


def _fulfils(wish: Expected, arrival: Arrival) -> bool:
    if wish.action != "update":
        return True
    after = {name: pair[1] for name, pair in arrival.change.items()}
    return after.keys() == wish.fields.keys() and all(
        value in (after[name], ...) for name, value in wish.fields.items()
    )


def _told(arrival: Arrival) -> str:
    changed = {name: after for name, (_, after) in arrival.change.items()} if arrival.action == "update" else ""
    return f"{arrival.action} of {arrival.name} (id {arrival.contact_id}) {changed}".rstrip()


def _check_untouched(label: str, old: Contact | None, new: Contact | None) -> None:
    if old and new:
        expect(
            that=old.version == new.version,
            expected=f"the row of {_name(new)} in {label} to be left alone",
            saw="that it was written",
        )


def _merged(recorded: Iterable[Recorded]) -> dict[int, Arrival]:
    """The history by contact; two changes to one, which a run between two operations can make, are told as one."""
    merged: dict[int, Arrival] = {}
    for entry in recorded:
        change = {name: (old, new) for name, (old, new) in (entry.changes or {}).items()}
        earlier = merged.get(entry.contact_id)
        if earlier:
            first = {name: old for name, (old, _) in earlier.change.items()}
            change = {**earlier.change, **{name: (first.get(name, old), new) for name, (old, new) in change.items()}}
        action = earlier.action if earlier and entry.action == "update" else entry.action
        name = entry.display_name or ""
        merged[entry.contact_id] = Arrival(
            entry.label, entry.contact_id, action, name, change, entry.run_id, entry.finished_at
        )
    return merged


def _difference(old: Contact | None, new: Contact | None) -> dict[str, tuple[Any, Any]]:
    before, after = (contact.fields if contact else {} for contact in (old, new))
    pairs = {name: (before.get(name), after.get(name)) for name in before.keys() | after.keys()}
    return {
        name: (one, other)
        for name, (one, other) in pairs.items()
        if one != other and not (one in _BLANK and other in _BLANK)
    }


def _action(old: Contact | None, new: Contact | None) -> str:
    if old is None:
        return "insert"
    return "delete" if new is None else "update"


def _name(contact: Contact) -> str:
    return str(contact.fields.get("display_name"))
