"""The second part of the story: changes in the directory arrive in the folders, and a run without any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from contactsync.demo.comparison import changes_between, check_changes, check_content
from contactsync.demo.database import Contact, Folder, Run
from contactsync.demo.environment import Environment
from contactsync.demo.errors import expect
from contactsync.demo.printer import Printer
from contactsync.demo.scenarios import SALES, People, Scenario

_OWN_CONTACT = {
    "display_name": "Dr. Ayşe Öz",
    "emails": ["praxis@oez.example"],
    "notes": "The dentist, who is in no directory.",
}
_UNCHANGED_COLUMNS = ("folder", "run", "entries", "unchanged", "rows written", "seconds")

Contents = dict[str, dict[int, "Contact"]]
"""The contacts by id of each folder, by its label."""


class Changes:
    """The steps from the first change to the run that finds nothing to do."""

    def __init__(self, environment: Environment, printer: Printer, folders: Sequence[Folder]) -> None:
        self._environment = environment
        self._database = environment.database
        self._printer = printer
        self._folders = folders
        self._ids: dict[tuple[str, str], int] = {}
        """The contact of each entry of a folder: once given, an id belongs to its entry for ever."""

    def show(self) -> None:
        """All of them. Raises DemoError, Stopped."""
        own = self._add_own_contact()
        for scenario in People(self._environment.company).scenarios:
            self._show(scenario)
        self._show_run_without_changes()
        self._conclude(own)

    def _add_own_contact(self) -> Contact:
        sales = next(folder for folder in self._folders if folder.label == SALES)
        contact_id = self._database.add_contact(sales, _OWN_CONTACT)
        self._printer.step("A contact of anna's own")
        self._printer.say(
            f"Anna's mail program writes a contact into her folder: {_OWN_CONTACT['display_name']}, with the id"
            f" {contact_id}. It came from no definition, so the daemon must never change it."
        )
        return self._contents()[SALES][contact_id]

    def _show(self, act: Callable[[], Scenario]) -> None:
        database, printer = self._database, self._printer
        # A run that has begun before may bring the changes as well.
        start, before = database.now(), self._contents()
        scenario = act()
        done = database.now()
        printer.step(scenario.title)
        printer.say(scenario.text)
        runs = self._next_runs(done)
        after, history = self._contents(), database.history(since=start)
        changes = []
        for folder, run in zip(self._folders, runs, strict=True):
            label = folder.label
            changes += changes_between(label, before[label], after[label], history)
            late = [change for change in changes if change.label == label and change.run_id > run.run_id]
            expect(that=not late, expected=f"run {run.run_id} of {label} to bring all changes", found="a later run")
        check_changes(scenario.expected, changes)
        printer.changes(changes, done)
        printer.say(scenario.lesson)

    def _show_run_without_changes(self) -> None:
        printer = self._printer
        printer.step("A run without changes")
        printer.say("Now the directory stays as it is, and the next runs find nothing to do:")
        before = self._contents()
        runs = self._next_runs(self._database.now())
        after = self._contents()
        rows = []
        for folder, run in zip(self._folders, runs, strict=True):
            old, new = ({(c.contact_id, c.version) for c in state[folder.label].values()} for state in (before, after))
            written = len(new - old)
            expect(
                that=run.outcome == "unchanged" and run.entries == run.unchanged and old == new,
                expected=f"{folder.label} to be unchanged, and none of its rows to be written",
                found=f"{run}, {run.unchanged:,} of {run.entries:,} unchanged and {written:,} rows written",
            )
            counts = (f"{run.run_id}", f"{run.entries:,}", f"{run.unchanged:,}", f"{written:,}")
            rows.append((folder.label, *counts, f"{run.duration:.3f}"))
        printer.table(_UNCHANGED_COLUMNS, rows, numbers=True)
        printer.say("The entries were recognised by their octets: none had to be decoded, and no row was written.")

    def _conclude(self, own: Contact) -> None:
        people, programs, printer = self._environment.company.people(), self._environment.programs, self._printer
        contents = {folder.label: check_content(folder, people, self._database) for folder in self._folders}
        found = contents[SALES].get(own.contact_id)
        expect(
            that=found == own,
            expected=f"anna's own contact {own.contact_id} to be the row that she wrote",
            found=str(found),
        )
        printer.step("What the demo has checked in the database")
        printer.points(
            "After the first load and now, both folders hold exactly the people that their definitions ask for, with"
            " the directory's names, addresses and phones, and its photos octet for octet.",
            "Every change arrived with the first run after it. The history records exactly what became of the rows,"
            " and no other row was written.",
            "No contact ever got another id: not by a rename, not by a move, not by leaving and coming back.",
            f"Anna's own contact {own.contact_id} is still the row that she wrote.",
        )
        printer.say("This is what an administrator sees:")
        printer.command(programs.shown("folders", "list"))
        printer.output(programs.run("folders", "list"))

    def _contents(self) -> Contents:
        """All contacts now; raises DemoError if an entry has another id than before."""
        contents = {folder.label: self._database.contacts(folder) for folder in self._folders}
        keyed = [(label, c.key, c) for label, contacts in contents.items() for c in contacts.values() if c.key]
        for label, key, contact in keyed:
            known = self._ids.setdefault((label, key), contact.contact_id)
            expect(
                that=known == contact.contact_id,
                expected=f"{contact.fields['display_name']} in {label} to keep the id {known}",
                found=f"the id {contact.contact_id}",
            )
        return contents

    def _next_runs(self, moment: datetime) -> list[Run]:
        """The first run of each folder that started after this moment; raises DemoError if one failed."""
        with self._printer.waiting("Waiting for the next run of both folders ..."):
            runs = [self._database.first_run_after(folder, moment) for folder in self._folders]
        for folder, run in zip(self._folders, runs, strict=True):
            expect(
                that=run.outcome in {"changed", "unchanged"},
                expected=f"a successful run of {folder.label}",
                found=str(run),
            )
        return runs
