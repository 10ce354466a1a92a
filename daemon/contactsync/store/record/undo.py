"""Undoes a run: the opposite plan, made from the history, applied and recorded like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import class_row

from contactsync.fields import FIELDS, Kind
from contactsync.model import Counts, Definition, Mode, Outcome, RunReport, Trigger
from contactsync.store.plan.columns import PHOTO_DIGEST
from contactsync.store.plan.plan import INTERNAL
from contactsync.store.plan.run_tables import make_run_tables
from contactsync.store.statements import composed, execute, read_rows, statement

_EMPTY = {"extra": sql.SQL("'{}'::jsonb")} | {
    name: sql.SQL("'{}'::text[]") for name, kind in FIELDS.items() if kind is Kind.LIST
}
"""The values of columns that may not be null if the history has none."""
_NAMES = [*(name for name, kind in FIELDS.items() if kind is not Kind.PHOTO), "source_dn", "extra", PHOTO_DIGEST]
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _NAMES))
_VALUES = sql.SQL(", ").join(
    sql.SQL("coalesce({}, {})").format(sql.Identifier("r", name), _EMPTY[name])
    if name in _EMPTY
    else sql.Identifier("r", name)
    for name in _NAMES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A contact that has changed since the run, so that the run cannot be undone.

    `reason` is `later run` (run `run_id`), `person`, `gone`, `returned` or `forgotten` (its identity is no longer
    stored). `fields` are the fields that a person changed. `total` is the number of all such contacts.
    """

    contact_id: int
    display_name: str | None
    reason: str
    run_id: int | None
    fields: list[str] | None
    total: int


def undo_conflicts(
    connection: Connection[Any], definition: Definition, run_id: int, *, limit: int = 10
) -> list[Conflict]:
    """The first contacts that prevent the undo of a run, in the caller's transaction. Raises DatabaseError."""
    execute(connection, "undo_memory", **definition.key, run_id=run_id)
    return read_rows(connection, class_row(Conflict), "undo_conflicts", **definition.key, run_id=run_id, limit=limit)


def undo_changes(connection: Connection[Any], definition: Definition, run_id: int) -> tuple[RunReport, int]:
    """Undo the changes of a run, in the caller's transaction, which has found no conflict. Raises psycopg.Error.

    Returns the report of the undo, which is recorded as a run, and the number of photos that are lost.
    """
    key = {**definition.key, "run_id": run_id}
    make_run_tables(connection)
    connection.execute(statement("plan_undo"), {**key, "internal": INTERNAL})
    connection.execute(statement("apply_setting"))
    connection.execute(statement("apply_deletes"), key)
    connection.execute(composed("undo_updates", columns=_COLUMNS, values=_VALUES), key)
    connection.execute(composed("undo_deletes", columns=_COLUMNS, values=_VALUES), key)
    connection.execute(statement("forget_returned"), key)
    connection.execute(statement("drop_photos"), key)
    report = _record(connection, definition, key)
    return report, _row(connection, "count_lost_photos", key)[0]


def _record(connection: Connection[Any], definition: Definition, key: dict[str, Any]) -> RunReport:
    inserted, updated, deleted = _row(connection, "count_undo", {})
    counts = {"inserted": inserted, "updated": updated, "deleted": deleted}
    run_id, started_at, finished_at = _row(connection, "record_undo", {**key, **counts, "definition": definition.label})
    connection.execute(statement("record_changes"), {**key, "run_id": run_id})
    # The contacts differ from the directory now.
    connection.execute(statement("drop_cursor"), key)
    report = RunReport(run_id, definition, Trigger.UNDO, started_at, finished_at, undoes=key["run_id"])
    report.mode, report.outcome, report.counts = Mode.UNDO, Outcome.CHANGED, Counts(**counts)
    return report


def _row(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(connection.execute(statement(name), parameters).fetchone() or ())
