"""Undoes a run, whole or not at all, and pauses its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from structlog.contextvars import bound_contextvars

from contactsync.errors import UndoRefused, UsageError
from contactsync.model import Outcome
from contactsync.operations.runs import require_definition, require_run
from contactsync.store.definitions import edit_definition
from contactsync.store.errors import translated
from contactsync.store.plan.plan import applying
from contactsync.store.pool import connection_of
from contactsync.store.record.audit import acting, write_audit
from contactsync.store.record.runs import lock_definition
from contactsync.store.record.undo import Conflict, undo_changes, undo_conflicts
from contactsync.sync.document import RunDocument, RunResult
from contactsync.sync.log_line import log_run

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Actor
    from contactsync.store.pool import Pool
    from contactsync.sync.runner import Runner

_SHOWN = 10


class Undone(BaseModel):
    """An undo, which is a run itself."""

    run: RunResult
    photos_lost: int = Field(description="Photos that could not be restored.")
    paused: bool = Field(description="Whether the definition ran automatically until now.")


class UndoPlan(BaseModel):
    """What an undo would do, or why it is not possible."""

    label: str
    possible: bool
    reason: str | None
    hint: str | None
    restored: int
    set_back: int
    removed: int


def undo(pool: Pool, run_id: int, actor: Actor, runner: Runner | None = None) -> Undone:
    """Undo a run in one transaction, and pause its definition; the observers of a runner get the report.

    Raises NotFound, UsageError if there is nothing to undo, UndoRefused with the contacts that have changed since,
    AlreadyRunning, DatabaseConflict if another transaction writes to one of them, DatabaseError.
    """
    with connection_of(pool) as connection:
        run = require_run(connection, run_id)
        require_undoable(run)
        lock_definition(connection, require_definition(connection, run))
        definition = require_definition(connection, run)
        with applying(connection, definition), acting(connection, actor):
            _require_unchanged(undo_conflicts(connection, definition, run_id, limit=_SHOWN), run_id)
            report, photos_lost = undo_changes(connection, definition, run_id)
            edit_definition(connection, definition, {"enabled": False})
            write_audit(
                connection,
                "run.undone",
                key=definition.key,
                label=definition.label,
                run_id=run_id,
                after={"undone_by": report.run_id},
            )
    with bound_contextvars(folder=definition.label, definition=definition.definition_id, run=report.run_id):
        log_run(report)
    if runner:
        runner.report_finished(report)
    return Undone(run=RunResult.of(report), photos_lost=photos_lost, paused=definition.enabled)


def preview_undo(connection: Connection[Any], run_id: int) -> UndoPlan:
    """Whether a run can be undone, and what that would do. Raises NotFound, DatabaseError."""
    run = require_run(connection, run_id)
    numbers = {"restored": run.deleted, "set_back": run.updated, "removed": run.inserted}
    counts: dict[str, Any] = {"label": run.label, **numbers}
    try:
        require_undoable(run)
        definition = require_definition(connection, run)
        with translated(), connection.transaction():
            _require_unchanged(undo_conflicts(connection, definition, run_id, limit=_SHOWN), run_id)
    except (UsageError, UndoRefused) as error:
        return UndoPlan(possible=False, reason=error.message, hint=error.hint, **counts)
    return UndoPlan(possible=True, reason=None, hint=None, **counts)


def require_undoable(run: RunDocument) -> None:
    """Raise UsageError if the run changed nothing or is undone already."""
    if run.undone_by:
        raise UsageError(
            f"Run {run.run_id} was undone already, by run {run.undone_by}.",
            hint=f"To make its changes again: contactsync undo {run.undone_by}",
        )
    if run.outcome is not Outcome.CHANGED:
        raise UsageError(
            f"Run {run.run_id} changed nothing ({run.outcome or 'it is still running'}), so there is nothing to undo.",
            hint="`contactsync runs` shows what each run did.",
        )


def _require_unchanged(conflicts: list[Conflict], run_id: int) -> None:
    if not conflicts:
        return
    lines = [f"\n- {conflict.display_name or '(no name)'} ({_reason(conflict)})" for conflict in conflicts]
    total = conflicts[0].total
    if total > len(conflicts):
        lines.append(f"\n- and {total - len(conflicts):,} more")
    later = max(conflict.run_id or 0 for conflict in conflicts)
    raise UndoRefused(
        f"Run {run_id} cannot be undone: {total:,} of its contacts have changed since.{''.join(lines)}",
        hint="Nothing was changed. "
        + (f"Undo the later run first: contactsync undo {later}" if later else "Correct these contacts by hand first."),
    )


def _reason(conflict: Conflict) -> str:
    contact = f"contact {conflict.contact_id}"
    return {
        "later run": f"{contact}: run {conflict.run_id} changed it",
        "person": f"{contact}: a user changed {', '.join(conflict.fields or []) or 'it'}",
        "gone": f"{contact}: a user deleted it",
        "returned": f"{contact}: it exists again",
        "forgotten": f"{contact}: the identity of its directory entry is not kept any more",
    }[conflict.reason]
