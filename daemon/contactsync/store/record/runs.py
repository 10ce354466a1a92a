"""The record of runs: opened before anything else happens, closed whatever happened."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from contactsync.errors import AlreadyRunning, DefinitionError, DefinitionLocked
from contactsync.model import Definition, Outcome, RunReport, Trigger
from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection


def lock_definition(connection: Connection[Any], definition: Definition) -> None:
    """Take the definition's lock, which the connection holds until it is given back to its pool.

    Raises AlreadyRunning, DatabaseError.
    """
    with translated():
        if not _scalar(connection, "lock_definition", {"definition_id": definition.definition_id}):
            raise AlreadyRunning(
                f"{definition.label} is being synchronized by another process right now.",
                hint="Wait for it to end and try again.",
            )


def begin_run(
    connection: Connection[Any], definition: Definition, trigger: Trigger, *, asked: bool = False
) -> tuple[RunReport, int | None]:
    """Take the definition's lock and open a run.

    Runs of the definition that never ended are marked interrupted: whoever holds the lock knows that they are dead.
    Raises AlreadyRunning, DefinitionLocked (unless a person asks for the run), DatabaseError.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
    lock_definition(connection, definition)
    values = {**key, "definition": definition.label, "trigger": trigger.value, "asked": asked}
    with translated():
        # Looked at here, since a run may have been due, or waiting already, while the one before it was refused.
        row = connection.execute(statement("begin_run"), values).fetchone()
        if row is None:
            raise DefinitionLocked(f"{definition.label} is locked: {_scalar(connection, 'locked_reason', key)}")
        run_id, started_at, entries_before = row
    return RunReport(run_id, definition, trigger, started_at), entries_before


def note_applied(
    connection: Connection[Any], report: RunReport, outcome: Outcome, *, source_digest: bytes, mapping_digest: bytes
) -> None:
    """Write what was done, in the transaction that applies the plan: the outcome, the counts, what the contacts go by.

    Raises psycopg.Error.
    """
    digests = {"source_digest": source_digest, "mapping_digest": mapping_digest}
    values = {**_key(report), "outcome": outcome.value, **asdict(report.counts), **digests}
    connection.execute(statement("note_applied"), values)


def deleted_lately(connection: Connection[Any], definition: Definition, *, hours: int) -> int:
    """How many contacts the definition's increments have deleted in that time, since the last approval that was used.

    Raises psycopg.Error.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
    found = connection.execute(statement("deleted_lately"), {**key, "hours": hours}).fetchone()
    return found[0] if found else 0


def finish_run(connection: Connection[Any], report: RunReport) -> None:
    """Close the record of a run, and say in the definition's status whether it makes sense. Raises DatabaseError.

    A run whose connection broke after the commit believes that it failed; its row knows better, and so does the report
    afterwards.
    """
    values = {
        **_key(report),
        "outcome": report.outcome.value,
        "server": report.server,
        "skipped_servers": list(report.skipped_servers),
        "attempts": report.attempts,
        "mode": report.mode.value,
        "full_reason": report.full_reason,
        "seconds": Jsonb({stage: round(seconds, 6) for stage, seconds in report.seconds.items()}),
        "error_code": report.error_code,
        "error": report.error,
        "held_reason": report.held_reason,
        "revision": report.definition.revision,
        "state": _state(report),
        "source_digest": report.source_digest,
        "mapping_digest": report.mapping_digest,
        **asdict(report.counts),
    }
    with translated():
        row = connection.execute(statement("finish_run"), values).fetchone()
    if row is not None:
        _adopt(report, *row)


def _adopt(report: RunReport, outcome: str, *counts: int) -> None:
    if outcome != report.outcome:
        report.outcome, report.error, report.error_code = Outcome(outcome), None, None
    names = ("inserted", "updated", "deleted", "refreshed", "rejected")
    for name, count in zip(names, counts, strict=True):
        setattr(report.counts, name, count)


def _key(report: RunReport) -> dict[str, int]:
    definition = report.definition
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id, "run_id": report.run_id}


def interrupt_abandoned(connection: Connection[Any]) -> list[tuple[int, str]]:
    """Mark runs that no living process makes any more; returns (run_id, definition's label) of each."""
    with translated():
        return list(connection.execute(statement("interrupt_abandoned")))


def latest_runs(
    connection: Connection[Any], *, definition_id: int | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """The newest runs, of one definition or of all, newest first."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement("latest_runs"), {"definition_id": definition_id, "limit": limit}).fetchall()


def changes_of_run(
    connection: Connection[Any], *, folder_id: int, run_id: int, limit: int | None = 1000
) -> list[dict[str, Any]]:
    """What a run changed: contact_id, action, display_name and changes ({field: [before, after]}) of each contact."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            statement("changes_of_run"), {"folder_id": folder_id, "run_id": run_id, "limit": limit}
        ).fetchall()


def forget_old(connection: Connection[Any], *, keep_days: int, departed_keep_days: int) -> int:
    """Delete history older than `keep_days` and ids of contacts gone longer than `departed_keep_days` (0: keep all).

    Returns how many runs were forgotten.
    """
    with translated():
        forgotten = connection.execute(statement("forget_runs"), {"keep_days": keep_days}).rowcount if keep_days else 0
        if departed_keep_days:
            connection.execute(statement("forget_departed"), {"keep_days": departed_keep_days})
    return forgotten


def _state(report: RunReport) -> str | None:
    """What the run showed of its definition: None when it failed for a reason that lies elsewhere."""
    if report.credentials_refused:
        return "locked"
    if (report.error_code or "").startswith(DefinitionError.code):
        return "invalid"
    # Whatever came afterwards: it got in.
    return "valid" if report.server else None


def _scalar(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> Any:
    row = connection.execute(statement(name), parameters).fetchone()
    return row[0] if row else None
