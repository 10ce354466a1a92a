"""What the demo reads from PostgreSQL, over a connection of its own: runs, contacts and the recorded history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString, TypeVar

from psycopg import Connection
from psycopg.rows import class_row

from contactsync.demo.interrupt import Stopper
from contactsync.errors import DemoError

WAIT_SECONDS = 45
"""Much longer than any schedule of the demo."""
EVER = datetime(2000, 1, 1, tzinfo=UTC)

_POLL_SECONDS = 0.05
_FOLDER = """
SELECT folder_id, definition_id, o.label, d.schedule, d.created_at
FROM contactsync.definition_overview AS o JOIN contactsync.sync_definitions AS d USING (folder_id, definition_id)
WHERE o.label = %s AND o.state <> 'invalid'
"""
_CONTACTS = """
SELECT contact_id, c.xmin::text AS version, source_key AS key,
       to_jsonb(c) - %s::text[] AS fields
FROM contactsync.contacts AS c WHERE folder_id = %s
"""
_NOT_FIELDS = ["folder_id", "contact_id", "definition_id", "source_key", "fingerprint", "created_at", "updated_at"]
_PHOTOS = """
SELECT source_key, photo FROM contactsync.contact_photos JOIN contactsync.contacts USING (folder_id, contact_id)
WHERE folder_id = %s
"""
_RUNS = """
SELECT run_id, definition AS label, outcome, started_at, finished_at, entries, unchanged, inserted, seconds,
       coalesce(error, held_reason) AS reason
FROM contactsync.sync_runs
"""
_RUN_AFTER = _RUNS + "WHERE definition_id = %s AND started_at > %s AND outcome IS NOT NULL ORDER BY run_id LIMIT 1"
_FAILURES = _RUNS + "WHERE run_id > %s AND outcome NOT IN ('changed', 'unchanged') ORDER BY run_id"
_HISTORY = """
SELECT definition AS label, run_id, contact_id, action, display_name, changes, finished_at
FROM contactsync.contact_changes JOIN contactsync.sync_runs USING (folder_id, run_id)
WHERE run_id > %s AND finished_at > %s AND outcome IS NOT NULL ORDER BY run_id, action, display_name
"""
_ADD_CONTACT = """
INSERT INTO contactsync.contacts (folder_id, display_name, emails, notes)
VALUES (%(folder_id)s, %(display_name)s, %(emails)s, %(notes)s) RETURNING contact_id
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and its only definition."""

    folder_id: int
    definition_id: int
    label: str
    schedule: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run; `reason` is its error, or why it was held."""

    run_id: int
    label: str
    outcome: str
    started_at: datetime
    finished_at: datetime
    entries: int
    unchanged: int
    inserted: int
    seconds: Mapping[str, float]
    reason: str | None

    @property
    def duration(self) -> float:
        """Seconds in all stages."""
        return sum(self.seconds.values())

    def __str__(self) -> str:
        return f"run {self.run_id} {self.outcome}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Contact:
    """A row of `contacts`. Each write changes `version`; `key` is None if no definition brought the contact."""

    contact_id: int
    version: str
    key: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of `contact_changes`, with the label of its folder."""

    label: str
    run_id: int
    contact_id: int
    action: str
    display_name: str | None
    changes: Mapping[str, Any] | None
    finished_at: datetime


class Database:
    """Reads the database. While it waits it calls `check`, which raises if the wait is in vain."""

    def __init__(self, connection: Connection[Any], stopper: Stopper, check: Callable[[], None]) -> None:
        self._connection = connection
        self._stopper = stopper
        self._check = check

    def now(self) -> datetime:
        """The database's clock, which the times of the runs are from."""
        now: datetime = self._scalar("SELECT clock_timestamp()")
        return now

    def folder(self, label: str) -> Folder:
        """The folder with this label; raises DemoError if there is none."""
        for folder in self._rows(Folder, _FOLDER, label):
            return folder
        raise DemoError(f"a valid definition named {label}", "none")

    def contacts(self, folder: Folder) -> dict[int, Contact]:
        """All contacts of a folder by their ids, also those that no definition brought."""
        contacts = self._rows(Contact, _CONTACTS, _NOT_FIELDS, folder.folder_id)
        return {contact.contact_id: contact for contact in contacts}

    def photos(self, folder: Folder) -> dict[str, bytes]:
        """The photos of a folder by the key of their contact."""
        return dict(self._connection.execute(_PHOTOS, [folder.folder_id]).fetchall())

    def first_run_after(self, folder: Folder, moment: datetime) -> Run:
        """Wait for the first run that started after this moment to finish; raises DemoError if it takes too long."""
        for _ in range(round(WAIT_SECONDS / _POLL_SECONDS)):
            for run in self._rows(Run, _RUN_AFTER, folder.definition_id, moment):
                return run
            self._check()
            self._stopper.pause(_POLL_SECONDS)
        raise DemoError(f"a run of {folder.label} ({folder.schedule}) within {WAIT_SECONDS} seconds", "no finished run")

    def last_run_id(self) -> int:
        """The id of the newest run of all folders, or 0."""
        return int(self._scalar("SELECT coalesce(max(run_id), 0) FROM contactsync.sync_runs"))

    def history(self, *, after: int = 0, since: datetime = EVER) -> list[Recorded]:
        """The changes by runs with greater ids than `after` that finished after `since`, of all folders, in order."""
        return self._rows(Recorded, _HISTORY, after, since)

    def failures(self, *, after: int) -> list[Run]:
        """Finished runs with greater ids than `after` that applied nothing."""
        return self._rows(Run, _FAILURES, after)

    def add_contact(self, folder: Folder, fields: Mapping[str, Any]) -> int:
        """Write a contact as an application of the folder's owner does; its id."""
        return int(self._scalar(_ADD_CONTACT, {"folder_id": folder.folder_id, **fields}))

    def _rows(self, kind: type[T], query: LiteralString, *values: Any) -> list[T]:
        return self._connection.cursor(row_factory=class_row(kind)).execute(query, values).fetchall()

    def _scalar(self, query: LiteralString, values: Any = None) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None
