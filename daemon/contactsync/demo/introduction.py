"""The first part of the story: the servers, two folders, and their first load."""

from __future__ import annotations

import json
from collections.abc import Sequence

from contactsync.demo.comparison import check_content, sample
from contactsync.demo.database import EVER, Folder, Run
from contactsync.demo.environment import Environment
from contactsync.demo.errors import expect
from contactsync.demo.printer import Printer
from contactsync.demo.scenarios import SALES, SALES_FILTER, SALES_MAPPING, SALES_UNIT, STAFF
from contactsync.settings.extras import install_hint
from contactsync.testing.company import Entry

PEOPLE = 1200
STAFF_SCHEDULE = "every 1s"
SALES_SCHEDULE = "every 2s"

_LOADED_COLUMNS = ("folder", "run", "entries", "contacts", "began after s", "took s")


def introduce(environment: Environment, printer: Printer) -> list[Folder]:
    """Start everything and fill two folders from the directory. Raises DemoError, Stopped and the servers' errors."""
    _start_directory(environment, printer)
    _start_daemon(environment, printer)
    printer.step("Two folders")
    _add_staff(environment, printer)
    _add_sales(environment, printer)
    folders = [environment.database.folder(label) for label in (STAFF, SALES)]
    _show_first_load(environment, printer, folders)
    _start_console(environment, printer)
    return folders


def _start_directory(environment: Environment, printer: Printer) -> None:
    printer.step("A directory")
    environment.start_directory(PEOPLE)
    people = environment.company.people()
    expect(that=len(people) == PEOPLE, expected=f"{PEOPLE} people in the directory", found=str(len(people)))
    units = {entry.parent for entry in people}
    printer.say(
        f"slapd listens at {environment.slapd.url}, with {len(people):,} people in {len(units)} organizational units."
        f" {_at_least(people, 'jpegPhoto', 1):,} have a photo, {_at_least(people, 'mail', 2):,} several mail addresses"
        f" and {_at_least(people, 'telephoneNumber', 2):,} several phones;"
        f" {len(people) - _at_least(people, 'givenName', 1):,} entries are incomplete."
    )


def _start_daemon(environment: Environment, printer: Printer) -> None:
    programs = environment.programs
    printer.step("The daemon")
    with printer.waiting("Starting PostgreSQL ..."):
        environment.start_database()
    pid = environment.start_daemon()
    printer.say("The settings name no database, so contactsync uses its embedded PostgreSQL. The daemon runs as")
    printer.command(programs.shown("daemon"))
    printer.say(f"in process {pid}, and logs to {programs.short(environment.place.log)}.")


def _add_staff(environment: Environment, printer: Printer) -> None:
    slapd, password = environment.slapd, environment.place.reader_password
    slapd.write_reader_password(password)
    printer.say(
        "Staff is shared and takes everyone, every second. The password is read from standard input and stored"
        " encrypted; StartTLS protects the connection."
    )
    arguments = [
        "folders", "add", "Staff", "--query", f"{slapd.url}/{slapd.people_base}",
        *_access(environment), "--password-stdin", "--schedule", STAFF_SCHEDULE,
    ]  # fmt: skip
    printer.command(environment.programs.shown(*arguments, stdin=password))
    environment.programs.run(*arguments, stdin=password)
    environment.stopper.check()


def _add_sales(environment: Environment, printer: Printer) -> None:
    slapd, place, programs = environment.slapd, environment.place, environment.programs
    place.sales_mapping.write_text(json.dumps(SALES_MAPPING, indent=2) + "\n", encoding="utf-8")
    printer.say(
        "Sales belongs to anna: one unit of the directory, only people with a mobile phone, and family names first,"
        " by a mapping of her own. This password stays in its file, and the definition refers to it."
    )
    arguments = [
        "folders", "add", "Sales", "--owner", "anna",
        "--query", f"{slapd.url}/ou={SALES_UNIT},{slapd.people_base}", "--filter", SALES_FILTER,
        "--mapping", programs.short(place.sales_mapping),
        *_access(environment), "--password-ref", f"file:{place.reader_password}",
        "--schedule", SALES_SCHEDULE,
    ]  # fmt: skip
    printer.command(programs.shown(*arguments))
    programs.run(*arguments)
    environment.stopper.check()


def _access(environment: Environment) -> tuple[str, ...]:
    slapd = environment.slapd
    return "--user", slapd.reader_dn, "--tls", "starttls", "--ca-file", environment.programs.short(slapd.ca_file)


def _show_first_load(environment: Environment, printer: Printer, folders: Sequence[Folder]) -> None:
    database = environment.database
    printer.step("The first load")
    runs = [database.first_run_after(folder, EVER) for folder in folders]
    for folder, run in zip(folders, runs, strict=True):
        expect(that=run.outcome == "changed", expected=f"{folder.label} to be filled", found=str(run))
    people = environment.company.people()
    contacts = {folder.label: check_content(folder, people, database) for folder in folders}
    printer.say("The daemon was notified of each new folder, and ran it:")
    printer.table(_LOADED_COLUMNS, map(_row, folders, runs), numbers=True)
    printer.say(
        "The demo has compared each contact with its entry, and each photo octet for octet. Some of the contacts, as"
        " they are in PostgreSQL now:"
    )
    printer.table(("name", "email", "phone"), sample(people, contacts[STAFF].values()))
    printer.say("The daemon's log describes each run in one line:")
    printer.quote(environment.log_line(runs[-1].run_id))


def _start_console(environment: Environment, printer: Printer) -> None:
    link = environment.start_console()
    if link is None:
        printer.say(f"The web console would show all of this in a browser. {install_hint('web')}")
        return
    printer.say("The web console shows all of this in a browser. This link signs you in, once, within five minutes:")
    printer.output(link, style="cyan")


def _row(folder: Folder, run: Run) -> tuple[str, ...]:
    waited = max(0.0, (run.started_at - folder.created_at).total_seconds())
    seconds = (f"{waited:.2f}", f"{run.duration:.2f}")
    return folder.label, f"{run.run_id}", f"{run.entries:,}", f"{run.inserted:,}", *seconds


def _at_least(people: Sequence[Entry], attribute: str, values: int) -> int:
    return sum(len(entry.attributes.get(attribute, ())) >= values for entry in people)
