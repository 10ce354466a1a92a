"""The second part of the story: what becomes of changes in the directory, and of a run without any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from contactsync.demo.assertions import Identities, arrivals, check_arrivals, expect
from contactsync.demo.comparison import check_content
from contactsync.demo.scenes import SALES, Cast, Scenario

if TYPE_CHECKING:
    from contactsync.demo.database import Contact, Folder, Run
    from contactsync.demo.environment import Environment
    from contactsync.demo.printer import Printer

_OWN_CONTACT = {
    "display_name": "Dr. Ayşe Öz",
    "emails": ["praxis@oez.example"],
    "notes": "The dentist, who is in no directory.",
}
_UNCHANGED_COLUMNS = ("folder", "run", "entries", "unchanged", "rows written", "seconds")

Contents = dict[str, dict[int, "Contact"]]
"""The contacts by id of each folder, by its label."""


class Changing:
    """Steps from the first change to the run that finds nothing to do."""

    def __init__(self, stage: Environment, printer: Printer, folders: Sequence[Folder]) -> None:
        self._stage = stage
        self._teller = printer
        self._folders = folders
        self._identities = Identities()

    def tell(self) -> None:
        """All of them. Raises Surprise, Stopped."""
        own = self._add_own_contact()
        for play in Cast(self._stage.company).scenes:
            self._show(play)
        self._nothing_changes()
        self._conclude(own)

    def _add_own_contact(self) -> Contact:
        sales = next(folder for folder in self._folders if folder.label == SALES)
        contact_id = self._stage.watcher.add_own_contact(sales, _OWN_CONTACT)
        self._teller.step("A contact of anna's own")
        self._teller.say(
            f"Anna's mail program writes a contact into her folder: {_OWN_CONTACT['display_name']}, with the id"
            f" {contact_id}. No definition brought it, so the daemon must leave it alone, whatever happens next."
        )
        return self._contents()[SALES][contact_id]

    def _show(self, play: Callable[[], Scenario]) -> None:
        watcher, printer = self._stage.watcher, self._teller
        before, newest_run = self._contents(), watcher.last_run_id()
        scene = play()
        done = watcher.now()
        printer.step(scene.title)
        printer.say(scene.text)
        runs = self._next_runs(done)
        after, recorded = self._contents(), watcher.recorded(after=newest_run)
        found = []
        for folder, run in zip(self._folders, runs, strict=True):
            label = folder.label
            arrived = arrivals(label, before[label], after[label], recorded)
            late = [arrival for arrival in arrived if arrival.run_id > run.run_id]
            expect(that=not late, expected=f"the next run of {label} to bring it all", saw=f"run {run.run_id} without")
            found += arrived
        check_arrivals(scene.expected, found, _keys(before, after))
        printer.arrivals(found, done)
        printer.say(scene.moral)

    def _nothing_changes(self) -> None:
        watcher, printer = self._stage.watcher, self._teller
        printer.step("A run without changes")
        printer.say("Now nobody touches the directory, and the next runs find nothing to do:")
        before = self._contents()
        runs = self._next_runs(watcher.now())
        after = self._contents()
        rows = []
        for folder, run in zip(self._folders, runs, strict=True):
            written = _rows_written(before[folder.label], after[folder.label])
            expect(
                that=run.outcome == "unchanged" and run.entries == run.unchanged and not written,
                expected=f"{folder.label} to be unchanged, and no row of it to be written",
                saw=f"{run.told}, {run.unchanged:,} of {run.entries:,} unchanged and {written:,} rows written",
            )
            rows.append(_row(folder, run, written))
        printer.table(_UNCHANGED_COLUMNS, rows, numbers=_UNCHANGED_COLUMNS[1:])
        printer.say("The entries were recognised by their octets: none had to be decoded, and no row was written.")

    def _conclude(self, own: Contact) -> None:
        people = self._stage.company.people()
        contents = {folder.label: check_content(folder, people, self._stage.watcher) for folder in self._folders}
        expect(
            that=contents[SALES][own.contact_id] == own,
            expected=f"anna's own contact {own.contact_id} to be the row that she wrote",
            saw=str(contents[SALES].get(own.contact_id)),
        )
        self._teller.step("What was checked in the database, and found right")
        self._teller.points(
            "Both folders hold whom their definition asks for, with the directory's names, addresses, phones and photos"
            " octet for octet; at the first load and now.",
            "Every change arrived with the first run after it. The history tells what became of the rows, no more and"
            " no less, and no other row was written.",
            "No contact ever got another id: not by a rename, not by a move, not by leaving and coming back.",
            f"Anna's own contact {own.contact_id} is still the row that she wrote.",
        )
        self._teller.say("And this is how it looks to whoever looks after it:")
        self._teller.command(self._stage.programs.shown("folders", "list"))
        self._teller.output(self._stage.programs.run("folders", "list"))

    def _contents(self) -> Contents:
        """All contacts as they stand; Surprise when an entry has another id than before."""
        contents = {folder.label: self._stage.watcher.contacts(folder) for folder in self._folders}
        for label, contacts in contents.items():
            self._identities.check(label, contacts)
        return contents

    def _next_runs(self, moment: datetime) -> list[Run]:
        """The first run of each folder that started after this moment; Surprise when one did not do its work."""
        with self._teller.waiting("Waiting for the next run of both folders ..."):
            runs = [self._stage.watcher.first_run_after(folder, moment) for folder in self._folders]
        for folder, run in zip(self._folders, runs, strict=True):
            expect(
                that=run.outcome in {"changed", "unchanged"},
                expected=f"a run of {folder.label} that works",
                saw=run.told,
            )
        return runs


def _keys(*contents: Contents) -> dict[tuple[str, int], str | None]:
    return {
        (label, contact.contact_id): contact.key
        for content in contents
        for label, contacts in content.items()
        for contact in contacts.values()
    }


def _rows_written(before: Mapping[int, Contact], after: Mapping[int, Contact]) -> int:
    kept = before.keys() & after.keys()
    return len(before.keys() ^ after.keys()) + sum(before[key].version != after[key].version for key in kept)


def _row(folder: Folder, run: Run, written: int) -> tuple[str, ...]:
    counts = (f"{run.run_id}", f"{run.entries:,}", f"{run.unchanged:,}", f"{written:,}")
    return folder.label, *counts, f"{run.duration:.3f}"
