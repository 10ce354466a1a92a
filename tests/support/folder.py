"""A folder that is filled from a real directory: its rows, its runs and its log lines."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import count
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row
from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer, add_log_level, format_exc_info
from structlog.typing import WrappedLogger

from contactsync.bootstrap import run_options
from contactsync.credentials.bind import BindPasswords, destination_of
from contactsync.credentials.references import References
from contactsync.credentials.sealing import SecretBox
from contactsync.errors import DefinitionError
from contactsync.ldap.connection.cache import SessionCache
from contactsync.ldap.query.query import parse_query
from contactsync.model import Definition, Mode, Outcome, RunReport, Trigger
from contactsync.settings.schema import Settings
from contactsync.store.definitions import add_definition, add_folder, edit_definition, read_definitions
from contactsync.store.pool import Pool
from contactsync.store.session import connect
from contactsync.sync.runner import Runner
from contactsync.testing.people import Person, make_people
from contactsync.testing.private_server import PrivateServer
from contactsync.testing.slapd import PrivateSlapd
from tests.support.observers import Progress, Watcher

PEOPLE_FILTER = "(objectClass=inetOrgPerson)"
_KINDS = {"objectGUID": ("(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))", "info")}
"""How to find people by the server's identity attribute, and the attribute of their notes."""
BRISK = replace(
    run_options(Settings()),
    connect_timeout=15,
    receive_timeout=15,
    deadline=100,
    page_size=10,
    retry_attempts=2,
    retry_base=0.01,
    retry_max=0.02,
)
"""The default options, but quick to retry, and patient with a busy machine."""

_ROWS = {
    "contacts": "SELECT xmin::text, * FROM contactsync.contacts WHERE folder_id = %s ORDER BY contact_id",
    "photos": "SELECT xmin::text, * FROM contactsync.contact_photos WHERE folder_id = %s ORDER BY contact_id",
    "departed": "SELECT xmin::text, * FROM contactsync.departed_contacts WHERE folder_id = %s ORDER BY contact_id",
    "history": "SELECT xmin::text, * FROM contactsync.contact_changes WHERE folder_id = %s ORDER BY run_id, contact_id",
}
"""Everything that a run changes. `xmin` is the transaction that wrote a row: every write changes it."""
_PASSWORD_RULE = "access to attrs=userPassword by anonymous auth by * none\n"
"""The rule of a PrivateSlapd for passwords."""
_BOX = SecretBox(b"k" * 32)
_numbers = count(10_000)


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Every log line of the block, as JSON, tracebacks included."""
    lines: list[str] = []

    def keep(_logger: WrappedLogger, _method: str, line: Any) -> Any:
        lines.append(line)
        raise structlog.DropEvent

    # In place, as structlog's capture_logs does, for loggers that are already bound.
    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [merge_contextvars, add_log_level, format_exc_info, JSONRenderer(default=repr), keep]
    try:
        yield lines
    finally:
        processors[:] = before


def moved(before: Definition, after: Definition) -> bool:
    """Whether the password has another destination; a definition that is not valid has none."""
    with suppress(DefinitionError):
        return destination_of(before) != destination_of(after)
    return False


class SyncedFolder:
    """A folder with one definition for the people of `slapd`, and a contact `Mum` of no definition."""

    def __init__(self, conninfo: str, pool: Pool, slapd: PrivateServer, **definition: Any) -> None:
        self.conninfo = conninfo
        self.slapd = slapd
        self.pool = pool
        self.log: list[str] = []
        self.passwords = BindPasswords(lambda: _BOX, References(("file:*", "credential:*", "env:*")), {})
        with connect(conninfo, application_name="test") as connection:
            self.name = f"Staff {next(_numbers)}"
            self.folder_id = add_folder(connection, self.name, None)
            connection.execute(
                "INSERT INTO contactsync.contacts (folder_id, display_name, notes) VALUES (%s, 'Mum', 'call')",
                [self.folder_id],
            )
        self.definition_id = self.define(slapd.port, **definition)

    def define(self, port: int, **columns: Any) -> int:
        """Add a definition that reads the people of the server at `port` of loopback, with a sealed password."""
        values = {
            "query": f"ldap://127.0.0.1:{port}/{self.slapd.suffix}",
            "bind_user": self.slapd.reader_dn,
            "tls_ca_file": str(self.slapd.ca_file),
            "schedule": "manual",
        }
        with self.connection() as connection:
            self.definition_id = add_definition(connection, self.folder_id, values | columns)
        self.set_password(self.slapd.reader_password)
        return self.definition_id

    def set_password(self, password: str) -> None:
        """Seal a password into the definition."""
        self._sealed = password
        self.edit(password_sealed=self.passwords.seal(self.definition, password))

    def edit(self, **columns: Any) -> None:
        """Change the definition as the command line does, which seals the password again."""
        with self.connection() as connection:
            definition = self._definition(connection)
            edit_definition(connection, definition, columns)
            edited = self._definition(connection)
            if edited.password_sealed and "password_sealed" not in columns and moved(definition, edited):
                sealed = self.passwords.seal(edited, self._sealed)
                edit_definition(connection, edited, {"password_sealed": sealed})

    @property
    def definition(self) -> Definition:
        """The definition as it is in the table."""
        with self.connection() as connection:
            return self._definition(connection)

    def runner(
        self, environ: Mapping[str, str] | None = None, sessions: SessionCache | None = None, **options: Any
    ) -> Runner:
        """A runner of its own, with these environment variables, connections and options."""
        passwords = replace(self.passwords, environ=environ or {})
        return Runner(self.pool, passwords, replace(BRISK, **options), sessions=sessions)

    def run(self, progress: Progress | None = None, *, runner: Runner | None = None, **options: Any) -> RunReport:
        """Run once; check that the end is logged once, and that no password and no traceback is."""
        runner = runner or self.runner(**options)
        watcher = Watcher(progress) if progress else None
        with captured_log() as lines:
            report = runner.run(self.definition_id, Trigger.MANUAL, watcher, asked_at=time.monotonic())
        self.log += lines
        self.expect_no_password(repr(report), *lines)
        tracebacks = [line for line in lines if "Traceback" in line]
        assert not tracebacks
        assert [line for line in lines if '"run.finished"' in line] == lines[-1:]
        return report

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of this name, of all runs so far."""
        return [event for event in map(json.loads, self.log) if event["event"] == name]

    def expect_failure(self, report: RunReport, code: str, *words: str) -> None:
        """The run failed with this code and a message with these words, and its row says the same."""
        assert (report.outcome, report.error_code) == (Outcome.FAILED, code), report.error
        self.expect_sentences(report.error, *words)
        self.expect_row(report)

    def expect_held(self, report: RunReport, *words: str) -> None:
        """The run is on hold for a reason with these words; its row and the log say the same."""
        assert (report.outcome, report.error) == (Outcome.HELD, None)
        self.expect_sentences(report.held_reason, *words)
        self.expect_row(report)
        assert (report.held_reason or "") in self.log[-1]

    def expect_sentences(self, text: str | None, *words: str) -> None:
        """The text is whole sentences in one line, without terms of Python, and with these words."""
        assert text is not None
        assert re.fullmatch(r"\S[^\n]*[^.][.)]", text), text
        assert not re.search(r"\bNone\b|Error\b|Exception|Traceback|  ", text), text
        for word in words:
            assert word in text

    def expect_row(self, report: RunReport) -> None:
        """The row of the run and the definition's status say what the report says."""
        row = self.row(report.run_id)
        self.expect_no_password(repr(row))
        said = asdict(report.counts) | {"references": row["search_references"]}
        assert {name: row.get(name, said[name]) for name in said} == said
        for name in ("outcome", "error_code", "error", "held_reason", "attempts", "server"):
            assert row[name] == getattr(report, name)
        assert (row["finished_at"] or row["started_at"]) > row["started_at"]
        assert self.status()["last_outcome"] == report.outcome

    def expect_no_password(self, *texts: str) -> None:
        """No text contains a password of the directory."""
        slapd = self.slapd
        for password in (slapd.reader_password, slapd.limited_password, slapd.admin_password):
            assert not [text for text in texts if password in text]

    def people(self) -> set[tuple[str, str, str | None]]:
        """The people in the directory, as `contacts` should return them."""
        return people(self.slapd, parse_query(self.definition.query).base)

    def expect_in_sync(self) -> None:
        """A run gets the folder in sync, and another run finds no changes."""
        assert self.run().outcome is Outcome.CHANGED
        assert self.contacts() == self.people()
        assert self.run().outcome is Outcome.UNCHANGED

    def expect_increment(self, **counts: int) -> RunReport:
        """An incremental run makes so many changes and gets the folder in sync."""
        report = self.run()
        assert (report.mode, report.full_reason) == (Mode.INCREMENTAL, None), report.error
        done = {name: getattr(report.counts, name) for name in ("inserted", "updated", "deleted")}
        assert done == {"inserted": 0, "updated": 0, "deleted": 0} | counts
        assert self.contacts() == self.people()
        assert self.row(report.run_id)["mode"] == "incremental"
        return report

    def expect_full(self, *words: str) -> RunReport:
        """A run reads all entries, for a reason with these words, and gets the folder in sync."""
        report = self.run()
        assert report.mode is Mode.FULL, report.error
        for word in words:
            assert word in (report.full_reason or "")
        assert self.row(report.run_id)["full_reason"] == report.full_reason
        assert self.contacts() == self.people()
        return report

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of the folder that a run may change, with all columns."""
        return {name: self.query(query, self.folder_id) for name, query in _ROWS.items()}

    def row(self, run_id: int) -> dict[str, Any]:
        """One row of sync_runs."""
        (row,) = self.query("SELECT * FROM contactsync.sync_runs WHERE run_id = %s", run_id)
        return row

    def status(self) -> dict[str, Any]:
        """The definition's row of sync_status."""
        (row,) = self.query("SELECT * FROM contactsync.sync_status WHERE definition_id = %s", self.definition_id)
        return row

    def contacts(self) -> set[tuple[str, str, str | None]]:
        """DN, identity and notes of the contacts of the definition."""
        rows = self.query(
            "SELECT source_dn, source_key, notes FROM contactsync.contacts WHERE definition_id = %s", self.definition_id
        )
        return {(row["source_dn"], row["source_key"], row["notes"]) for row in rows}

    def query(self, query: Any, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def connection(self) -> psycopg.Connection[Any]:
        """A new connection to the database."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def _definition(self, connection: psycopg.Connection[Any]) -> Definition:
        (definition,) = read_definitions(connection, [self.definition_id])
        return definition


def people(server: PrivateServer, base: str | None = None) -> set[tuple[str, str, str | None]]:
    """DN, identity and notes of all people in the directory, or below a base."""
    identity = getattr(server, "identity", "entryUUID")
    people_filter, notes = _KINDS.get(identity, (PEOPLE_FILTER, "description"))
    admin = server.connection()
    admin.search(base or server.suffix, people_filter, attributes=[identity, notes])
    entries = [entry for entry in admin.response if entry["type"] == "searchResEntry"]
    admin.unbind()
    return {(entry["dn"], _text(entry, identity) or "", _text(entry, notes)) for entry in entries}


def someone(**attributes: str | bytes) -> Person:
    """A person who is in no directory yet, with a DN that needs no escapes: servers write those in different ways."""
    people = (person for number in _numbers for person in make_people(1, start=number))
    person = next(person for person in people if "\\" not in person.dn)
    return Person(person.dn, person.attributes | {name: [value] for name, value in attributes.items()})


def dismiss(server: PrivateServer, number: int) -> None:
    """Delete so many people from the directory."""
    admin = server.connection()
    for dn, _, _ in sorted(people(server))[:number]:
        admin.delete(dn)
    admin.unbind()


def clear(server: PrivateServer, attribute: str, number: int) -> None:
    """Remove an attribute from so many people who have it."""
    admin = server.connection()
    admin.search(server.suffix, f"(&{PEOPLE_FILTER}({attribute}=*))", attributes=[attribute])
    for dn in sorted(entry["dn"] for entry in admin.response)[:number]:
        admin.modify(dn, {attribute: [("MODIFY_DELETE", [])]})
    admin.unbind()


def hide(slapd: PrivateSlapd, attributes: str) -> None:
    """Stop a slapd, and let only its admin read these attributes when it starts again; an empty text: all may."""
    slapd.stop()
    config = slapd.directory / "slapd.conf"
    rule = f"access to attrs={attributes} by * none\n" if attributes else ""
    text = re.sub(r"(?m)^(access to attrs=.*\n)*(?=access to \* )", f"{rule}{_PASSWORD_RULE}", config.read_text())
    config.write_text(text)


def parent_of(dn: str) -> str:
    """The DN of an entry's parent; the entry's own name may contain a comma."""
    return re.split(r"(?<!\\),", dn, maxsplit=1)[1]


def change(slapd: PrivateServer) -> None:
    """Add a person, delete the last one, and change the description of the one before."""
    (new,) = make_people(1, start=next(_numbers), suffix=slapd.suffix)
    admin = slapd.connection()
    admin.search(slapd.suffix, PEOPLE_FILTER, attributes=["uid"])
    by_uid = {entry["raw_attributes"]["uid"][0]: entry["dn"] for entry in admin.response}
    changed, deleted = (by_uid[uid] for uid in sorted(by_uid)[-2:])
    admin.delete(deleted)
    admin.modify(changed, {"description": [("MODIFY_REPLACE", [f"Changed {next(_numbers)} times"])]})
    admin.add(new.dn, attributes=new.attributes)
    admin.unbind()


def _text(entry: dict[str, Any], attribute: str) -> str | None:
    for value in entry["raw_attributes"].get(attribute) or ():
        return str(uuid.UUID(bytes_le=value)) if attribute == "objectGUID" else value.decode()
    return None
