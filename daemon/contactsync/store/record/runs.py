"""The record of runs: opened at the start of a run, closed at its end, read in pages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from contactsync.errors import AlreadyRunning, DefinitionError, DefinitionLocked, UsageError
from contactsync.model import Change, Definition, Outcome, RunReport, Trigger
from contactsync.store.definitions import definition_of
from contactsync.store.errors import translated
from contactsync.store.pool import note_unlocked
from contactsync.store.session import SessionState
from contactsync.store.statements import execute, read_rows, statement, text_of
from contactsync.store.waits import lock_holder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

_BEGUN = ("is_locked", "run_id", "started_at", "entries_before", "open_plans")
_FINISHED = 7
"""The columns of `finish_run` before those of `unlock_everything`."""
LARGEST_ID = 2**63 - 1
"""The largest bigint."""


class BegunRun(NamedTuple):
    """A run whose record is open.

    `entries_before` are the entries of the last complete full run. `open_plans` says whether plans of earlier runs wait
    for a decision or are approved; only a held run, which needs the lock, can add one.
    """

    report: RunReport
    entries_before: int | None
    open_plans: bool


def lock_definition(connection: Connection[Any], definition: Definition) -> None:
    """Lock the definition until the connection is returned to its pool. Raises AlreadyRunning, DatabaseError."""
    if not _scalar(connection, "lock_definition", definition_id=definition.definition_id):
        raise _already_running(connection, definition)


def _already_running(connection: Connection[Any], definition: Definition) -> AlreadyRunning:
    holder = lock_holder(connection, **definition.key)
    return AlreadyRunning(
        f"{definition.label} is being synchronized by another process: {holder}.",
        hint="Wait until that run has ended, and try again.",
    )


def begin_run(
    connection: Connection[Any],
    definition_id: int,
    trigger: Trigger,
    *,
    retry_locked: bool = False,
    node_id: int | None = None,
) -> BegunRun:
    """Lock a definition until its record is closed or the connection is returned to its pool, and open that record.

    Marks earlier runs of the definition without an end as interrupted: no process can hold the lock for them. One
    statement, since small runs consist of little else. Raises UsageError if there is no such definition,
    AlreadyRunning, also if others have ended the node of a fleet, DefinitionLocked (unless `retry_locked`),
    DatabaseError.
    """
    values: dict[str, Any] = {"definition_id": definition_id, "trigger": trigger.value}
    values |= {"retry_locked": retry_locked, "node_id": node_id}
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_begin_run(), values).fetchone()
    if row is None:
        raise UsageError(f"Definition {definition_id} does not exist any more.", hint="See `contactsync folders list`.")
    is_locked, run_id, started_at, entries_before, open_plans = map(row.pop, _BEGUN)
    definition = definition_of(row)
    if not is_locked:
        raise _already_running(connection, definition)
    if run_id is None:  # the run may have been queued before the directory refused the password
        reason = _scalar(connection, "locked_reason", **definition.key)
        raise DefinitionLocked(f"{definition.label} is locked: {reason}")
    return BegunRun(RunReport(run_id, definition, trigger, started_at), entries_before, open_plans)


@cache
def _begin_run() -> LiteralString:
    return text_of("begin_run", columns=sql.SQL(statement("definition_columns")))


def note_applied(
    connection: Connection[Any], report: RunReport, outcome: Outcome, *, source_digest: bytes, mapping_digest: bytes
) -> None:
    """Record outcome, counts and digests in the transaction that applies the plan. Raises DatabaseError."""
    digests = {"source_digest": source_digest, "mapping_digest": mapping_digest}
    values = {**_key(report), "outcome": outcome.value, **report.counts.by_name(), **digests}
    execute(connection, "note_applied", **values)


def deleted_lately(connection: Connection[Any], definition: Definition, *, hours: int) -> int:
    """How many contacts incremental runs have deleted in this time, since the last approval that was used.

    Runs that were undone do not count. Raises DatabaseError.
    """
    return int(_scalar(connection, "deleted_lately", **definition.key, hours=hours))


def finish_run(connection: Connection[Any], report: RunReport) -> None:
    """Close the record of a run, update the definition's status, release its lock. Raises DatabaseError.

    The record of an idle run is removed, unless the run before failed or was held, or a request waits for this one. If
    the connection broke after the commit, the report says failed and the record says changed; the report then takes
    over outcome and counts of the record.
    """
    if report.is_idle:
        idle = execute(connection, "finish_idle_run", **_key(report)).fetchone()
        if idle is not None:
            report.finished_at = idle[0]
            note_unlocked(connection, SessionState(*idle[-3:]))
            return
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
        **report.counts.by_name(),
    }
    row = execute(connection, "finish_run", **values).fetchone()
    if row is None:
        return
    note_unlocked(connection, SessionState(*row[-3:]))
    outcome, finished_at, *counts = row[:_FINISHED]
    if finished_at is not None:
        _take_over(report, outcome, finished_at, *counts)


def interrupt_abandoned(connection: Connection[Any]) -> list[tuple[int, str]]:
    """Mark the runs of processes that have ended; returns (run_id, definition's label) of each. DatabaseError."""
    return execute(connection, "interrupt_abandoned").fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are listed; None is no limit. `since` and `until` are about the start.

    The owner "" is that of shared folders.
    """

    folder_id: int | None = None
    owner: str | None = None
    outcome: str | None = None
    running: bool = False
    changed: bool = False
    trigger: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def read_runs(
    connection: Connection[Any],
    *,
    definition_ids: Sequence[int] | None = None,
    folder_ids: list[int] | None = None,
    run_id: int | None = None,
    before: int | None = None,
    chosen: RunFilter = RunFilter(),
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Runs, newest first: of some definitions and folders or all, with an id below `before`. Raises DatabaseError.

    `stages` has the seconds of each stage.
    """
    ids = None if definition_ids is None else list(definition_ids)
    values = {"definition_ids": ids, "folder_ids": folder_ids, "run_id": run_id, "before": before, "limit": limit}
    return read_rows(connection, dict_row, "runs", **values, **asdict(chosen))


def read_run(connection: Connection[Any], run_id: int) -> dict[str, Any] | None:
    """One run; None if it does not exist. Raises DatabaseError."""
    return next(iter(read_runs(connection, run_id=run_id)), None)


def read_changes(
    connection: Connection[Any],
    *,
    folder_id: int,
    run_id: int,
    action: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[Change, ...]:
    """The changes of a run, or those of one kind, by contact id from the first above `after`. Raises DatabaseError."""
    values = {"folder_id": folder_id, "run_id": run_id, "action": action, "after": after, "limit": limit}
    return tuple(read_rows(connection, class_row(Change), "changes_page", **values))


def changes_of_run(
    connection: Connection[Any], *, folder_id: int, run_id: int, limit: int | None = None
) -> tuple[Change, ...]:
    """The first changes of a run by action and name (None: all). Raises DatabaseError."""
    values = {"folder_id": folder_id, "run_id": run_id, "limit": limit}
    return tuple(read_rows(connection, class_row(Change), "changes_of_run", **values))


def rejected_of_run(
    connection: Connection[Any], *, folder_id: int, run_id: int, after: tuple[str, str] = ("", ""), limit: int = 100
) -> list[tuple[str, str]]:
    """DN and reason of the entries that a run rejected, by these, from the first above `after`. DatabaseError."""
    key = dict(zip(("dn", "reason"), after, strict=True))
    return execute(connection, "rejected_of_run", folder_id=folder_id, run_id=run_id, limit=limit, **key).fetchall()


def trimmed_of_run(
    connection: Connection[Any],
    *,
    folder_id: int,
    run_id: int,
    after: tuple[str, str, str] = ("", "", ""),
    limit: int = 100,
) -> list[tuple[str, str, str]]:
    """DN, field and reason of the values that a run dropped or changed, by these, above `after`. DatabaseError."""
    key = dict(zip(("dn", "field", "reason"), after, strict=True))
    return execute(connection, "trimmed_of_run", folder_id=folder_id, run_id=run_id, limit=limit, **key).fetchall()


def forget_old(connection: Connection[Any], *, keep_days: int, departed_keep_days: int) -> int:
    """Delete runs older than `keep_days` and ids of contacts that left before `departed_keep_days` (0: keep all).

    Requests that were answered a week ago go too. Returns the number of deleted runs. Raises DatabaseError.
    """
    execute(connection, "forget_requests")
    deleted = execute(connection, "forget_runs", keep_days=keep_days).rowcount if keep_days else 0
    if departed_keep_days:
        execute(connection, "forget_departed", keep_days=departed_keep_days)
    return deleted


def _take_over(report: RunReport, outcome: str, finished_at: datetime, *counts: int) -> None:
    report.finished_at = finished_at
    if outcome != report.outcome:
        report.outcome, report.error, report.error_code = Outcome(outcome), None, None
    for name, count in zip(("inserted", "updated", "deleted", "refreshed", "rejected"), counts, strict=True):
        setattr(report.counts, name, count)


def _state(report: RunReport) -> str | None:
    """What the run found out about its definition; None if it failed before the directory accepted the bind."""
    if report.credentials_refused:
        return "locked"
    if (report.error_code or "").startswith(DefinitionError.code):
        return "invalid"
    return "valid" if report.server else None


def _key(report: RunReport) -> dict[str, int]:
    return {**report.definition.key, "run_id": report.run_id}


def _scalar(connection: Connection[Any], name: str, **values: Any) -> Any:
    row = execute(connection, name, **values).fetchone()
    return row[0] if row else None
