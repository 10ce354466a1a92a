"""What the demo sees in PostgreSQL, by its own connection: runs, contacts as they stand, and the recorded history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from contactsync.demo.errors import DemoError

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.demo.interrupt import Stopper

WAIT_SECONDS = 45
"""Far beyond any tick: who waits that long waits in vain."""

_POLL_SECONDS = 0.05
_RUNS = """
SELECT run_id, definition AS label, outcome, started_at, finished_at, entries, unchanged, refreshed, rejected, inserted,
       updated, deleted, seconds, error, held_reason
FROM contactsync.sync_runs
"""
_NOT_FIELDS = ["folder_id", "contact_id", "definition_id", "source_key", "fingerprint", "created_at", "updated_at"]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and the one definition that fills it."""

    folder_id: int
    definition_id: int
    label: str
    schedule: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    run_id: int
    label: str
    outcome: str
    started_at: datetime
    finished_at: datetime
    entries: int
    unchanged: int
    refreshed: int
    rejected: int
    inserted: int
    updated: int
    deleted: int
    seconds: Mapping[str, float]
    error: str | None
    held_reason: str | None

    @property
    def duration(self) -> float:
        """Seconds in all stages."""
        return sum(self.seconds.values())

    @property
    def told(self) -> str:
        """How it ended, and why, in a few words."""
        reason = self.error or self.held_reason
        return f"run {self.run_id} {self.outcome}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True)
class Contact:
    """A row of `contacts`. `version` is another one after every write; `key` is None for a person's own contact."""

    contact_id: int
    version: str
    key: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of `contact_changes`, with the folder it is about."""

    label: str
    run_id: int
    contact_id: int
    action: str
    display_name: str | None
    changes: Mapping[str, Any] | None
    finished_at: datetime


class Watcher:
    """Reads the database. While it waits it calls `look`, which raises when waiting has no sense any more."""

    def __init__(self, connection: Connection[Any], stopper: Stopper, look: Callable[[], None]) -> None:
        self._connection = connection
        self._stopper = stopper
        self._look = look

    def now(self) -> datetime:
        """The database's clock, which the runs' times are by."""
        now: datetime = self._scalar("SELECT clock_timestamp()")
        return now

    def folder(self, label: str) -> Folder:
        """A folder by its label; Surprise when there is none."""
        cursor = self._connection.cursor(row_factory=class_row(Folder))
        found = cursor.execute(
            "SELECT folder_id, definition_id, o.label, d.schedule, d.created_at"
            " FROM contactsync.definition_overview AS o JOIN contactsync.sync_definitions AS d"
            " USING (folder_id, definition_id) WHERE o.label = %s AND o.state <> 'invalid'",
            (label,),
        ).fetchone()
        if found is None:
            raise DemoError(f"a valid definition named {label}", "none")
        return found

    def contacts(self, folder: Folder) -> dict[int, Contact]:
        """All contacts of a folder by their ids, people's own included."""
        cursor = self._connection.cursor(row_factory=class_row(Contact))
        cursor.execute(
            "SELECT c.contact_id, c.xmin::text AS version, c.source_key AS key, to_jsonb(c) - %s::text[] AS fields"
            " FROM contactsync.contacts AS c WHERE c.folder_id = %s",
            (_NOT_FIELDS, folder.folder_id),
        )
        return {contact.contact_id: contact for contact in cursor}

    def photos(self, folder: Folder) -> dict[str, bytes]:
        """The photos of a folder by the key of their contact."""
        return dict(
            self._connection.execute(
                "SELECT c.source_key, p.photo FROM contactsync.contact_photos AS p"
                " JOIN contactsync.contacts AS c USING (folder_id, contact_id) WHERE p.folder_id = %s",
                (folder.folder_id,),
            ).fetchall()
        )

    def first_run_after(self, folder: Folder, moment: datetime) -> Run:
        """Wait for the first run that started after this moment to finish."""
        return self.wait_for(
            lambda: self._run_after(folder, moment),
            f"{folder.label} ({folder.schedule}) to be synchronized within {WAIT_SECONDS} seconds",
        )

    def wait_for(self, look: Callable[[], Run | None], expected: str) -> Run:
        """Wait until there is something to see; Surprise when it takes far too long."""
        for _ in range(round(WAIT_SECONDS / _POLL_SECONDS)):
            found = look()
            if found is not None:
                return found
            self._look()
            self._stopper.pause(_POLL_SECONDS)
        raise DemoError(expected, "no finished run")

    def last_run_id(self) -> int:
        """The number of the newest run of all folders, or 0."""
        return int(self._scalar("SELECT coalesce(max(run_id), 0) FROM contactsync.sync_runs"))

    def recorded(self, *, after: int) -> list[Recorded]:
        """What finished runs with greater numbers than `after` changed, in all folders, in their order."""
        cursor = self._connection.cursor(row_factory=class_row(Recorded))
        return cursor.execute(
            "SELECT r.definition AS label, r.run_id, c.contact_id, c.action, c.display_name, c.changes, r.finished_at"
            " FROM contactsync.contact_changes AS c JOIN contactsync.sync_runs AS r USING (folder_id, run_id)"
            " WHERE r.run_id > %s AND r.outcome IS NOT NULL ORDER BY r.run_id, c.action, c.display_name",
            (after,),
        ).fetchall()

    def add_own_contact(self, folder: Folder, fields: Mapping[str, Any]) -> int:
        """Write a contact as an application of its owner's would; gives its id."""
        return int(
            self._scalar(
                "INSERT INTO contactsync.contacts (folder_id, display_name, emails, notes)"
                " VALUES (%(folder_id)s, %(display_name)s, %(emails)s, %(notes)s) RETURNING contact_id",
                {"folder_id": folder.folder_id, **fields},
            )
        )

    def failures(self, *, after: int) -> list[Run]:
        """Finished runs with greater numbers than `after` that left their folder as it was."""
        cursor = self._connection.cursor(row_factory=class_row(Run))
        return cursor.execute(
            _RUNS + "WHERE run_id > %s AND outcome NOT IN ('changed', 'unchanged') ORDER BY run_id", (after,)
        ).fetchall()

    def _run_after(self, folder: Folder, moment: datetime) -> Run | None:
        cursor = self._connection.cursor(row_factory=class_row(Run))
        return cursor.execute(
            _RUNS + "WHERE definition_id = %s AND started_at > %s AND outcome IS NOT NULL ORDER BY run_id LIMIT 1",
            (folder.definition_id, moment),
        ).fetchone()

    def _scalar(self, query: str, parameters: Any = None) -> Any:
        row = self._connection.execute(query, parameters).fetchone()
        return row[0] if row else None
