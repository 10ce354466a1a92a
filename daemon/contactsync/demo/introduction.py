"""The first part of the story: the servers, the folders, and how they fill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contactsync.demo.assertions import expect
from contactsync.demo.comparison import check_content, sample
from contactsync.demo.scenes import SALES, SALES_FILTER, SALES_MAPPING, SALES_UNIT, STAFF

if TYPE_CHECKING:
    from contactsync.demo.database import Folder, Run
    from contactsync.demo.environment import Environment
    from contactsync.demo.printer import Printer
    from contactsync.testing.company import Entry

PEOPLE = 1200
STAFF_SCHEDULE = "every 2s"
SALES_SCHEDULE = "every 3s"

_LOADED_COLUMNS = ("folder", "run", "entries", "contacts", "began after s", "took s")
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


class Opening:
    """Steps up to two folders that are in step with the directory."""

    def __init__(self, stage: Environment, printer: Printer) -> None:
        self._stage = stage
        self._teller = printer

    def tell(self) -> list[Folder]:
        """All of them; gives the folders. Raises Surprise, Stopped and what the servers raise."""
        self._directory()
        self._daemon()
        self._add_staff()
        self._add_sales()
        folders = [self._stage.watcher.folder(label) for label in (STAFF, SALES)]
        self._first_load(folders)
        return folders

    def _directory(self) -> None:
        self._teller.step("A directory")
        self._stage.start_directory(PEOPLE)
        people = self._stage.company.people()
        expect(that=len(people) == PEOPLE, expected=f"{PEOPLE} people in the directory", saw=str(len(people)))
        units = {entry.parent for entry in people}
        self._teller.say(
            f"slapd is up at {self._stage.slapd.url}, with {len(people):,} people in {len(units)} organizational units."
            f" {_at_least(people, 'jpegPhoto', 1):,} have"
            f" a photo, {_at_least(people, 'mail', 2):,} several mail addresses,"
            f" {_at_least(people, 'telephoneNumber', 2):,} several phones, and"
            f" {len(people) - _at_least(people, 'givenName', 1):,} are entries that somebody began and never finished."
        )

    def _daemon(self) -> None:
        stage = self._stage
        self._teller.step("The daemon")
        with self._teller.waiting("Starting PostgreSQL ..."):
            stage.start_database()
        pid = stage.start_daemon()
        self._teller.say("The settings name no database, so PostgreSQL is the embedded one. The daemon runs as")
        self._teller.command(stage.programs.shown("daemon"))
        self._teller.say(f"which is process {pid} and writes to {stage.programs.short(stage.place.log)}.")

    def _add_staff(self) -> None:
        slapd = self._stage.slapd
        password = self._stage.write_reader_password()
        self._teller.step("Two folders")
        self._teller.say(
            "Staff is shared and takes everyone, every two seconds. The password comes by standard input and is stored"
            " sealed; StartTLS protects the connection."
        )
        arguments = [
            "folders", "add", "Staff", "--query", f"{slapd.url}/{slapd.people_base}",
            *self._access(), "--password-stdin", "--schedule", STAFF_SCHEDULE,
        ]  # fmt: skip
        self._command(arguments, stdin=password)

    def _add_sales(self) -> None:
        slapd, mapping = self._stage.slapd, self._stage.place.sales_mapping
        mapping.write_text(json.dumps(SALES_MAPPING, indent=2) + "\n", encoding="utf-8")
        self._teller.say(
            "Sales is anna's own: one unit of the directory, only people with a mobile phone, and family names first,"
            " as her own mapping says. Here the password stays in its file, and the definition refers to it."
        )
        arguments = [
            "folders", "add", "Sales", "--owner", "anna",
            "--query", f"{slapd.url}/ou={SALES_UNIT},{slapd.people_base}", "--filter", SALES_FILTER,
            "--mapping", self._stage.programs.short(mapping),
            *self._access(), "--password-ref", f"file:{self._stage.place.reader_password}",
            "--schedule", SALES_SCHEDULE,
        ]  # fmt: skip
        self._command(arguments)

    def _access(self) -> tuple[str, ...]:
        slapd = self._stage.slapd
        return "--user", slapd.reader_dn, "--tls", "starttls", "--ca-file", self._stage.programs.short(slapd.ca_file)

    def _command(self, arguments: Sequence[str], stdin: Path | None = None) -> None:
        self._teller.command(self._stage.programs.shown(*arguments, stdin=stdin))
        self._stage.programs.run(*arguments, stdin=stdin)
        self._stage.stopper.check()

    def _first_load(self, folders: Sequence[Folder]) -> None:
        stage, printer = self._stage, self._teller
        printer.step("The first load")
        runs = [stage.watcher.first_run_after(folder, _EVER) for folder in folders]
        for folder, run in zip(folders, runs, strict=True):
            expect(that=run.outcome == "changed", expected=f"{folder.label} to be filled", saw=run.told)
        people = stage.company.people()
        contacts = {folder.label: check_content(folder, people, stage.watcher) for folder in folders}
        printer.say("The daemon heard of each folder when it was added, and ran it:")
        printer.table(
            _LOADED_COLUMNS,
            [_row(folder, run) for folder, run in zip(folders, runs, strict=True)],
            numbers=_LOADED_COLUMNS[1:],
        )
        printer.say(
            "Each contact was compared with its entry, and each photo octet for octet. Some of them, as they are in"
            " PostgreSQL now:"
        )
        printer.table(("name", "email", "phone"), sample(people, contacts[STAFF].values()))
        printer.say("A run ends in one line of the daemon's log that says all about it:")
        printer.quote(stage.log_line(runs[-1].run_id))


def _row(folder: Folder, run: Run) -> tuple[str, ...]:
    waited = max(0.0, (run.started_at - folder.created_at).total_seconds())
    seconds = (f"{waited:.2f}", f"{run.duration:.2f}")
    return folder.label, f"{run.run_id}", f"{run.entries:,}", f"{run.inserted:,}", *seconds


def _at_least(people: Sequence[Entry], attribute: str, values: int) -> int:
    return sum(len(entry.attributes.get(attribute, ())) >= values for entry in people)
