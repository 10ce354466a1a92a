"""Takes a run back, whole or not at all, and pauses its definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bound_contextvars

from contactsync.errors import UndoRefused, UsageError
from contactsync.operations.runs import require_definition, require_run
from contactsync.store.definitions import edit_definition
from contactsync.store.plan.plan import applying
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import lock_definition
from contactsync.store.record.undo import Conflict, undo_changes, undo_conflicts
from contactsync.sync.log_line import log_run

if TYPE_CHECKING:
    from contactsync.model import Definition, RunReport
    from contactsync.store.pool import Pool

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Undone:
    """The run that took another one back, how many photos stay lost, and whether the definition ran until now."""

    report: RunReport
    photos_lost: int
    paused: bool


def undo(pool: Pool, run_id: int) -> Undone:
    """Take back what a run did, as a run of its own in one transaction, and pause the definition.

    Raises UsageError when there is nothing to take back, UndoRefused naming the contacts that are not as the run left
    them, AlreadyRunning, DatabaseConflict when somebody writes to one of them at the same moment, DatabaseError.
    """
    with connection_of(pool) as connection:
        run = require_run(connection, run_id)
        require_undoable(run)
        lock_definition(connection, require_definition(connection, run))
        definition = require_definition(connection, run)
        with applying(connection, definition):
            _require_unchanged(undo_conflicts(connection, definition, run_id, limit=_SHOWN), run_id)
            report, photos_lost = undo_changes(connection, definition, run_id)
            edit_definition(connection, definition, {"enabled": False})
    with bound_contextvars(folder=definition.label, definition=definition.definition_id, run=report.run_id):
        log_run(report)
    return Undone(report, photos_lost, paused=definition.enabled)


def undo_question(run: dict[str, Any], definition: Definition) -> str:
    """What is asked before a run is taken back."""
    parts = {"added": run["inserted"], "changed": run["updated"], "deleted": run["deleted"]}
    did = ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)
    return f"Take run {run['run_id']} of {definition.label} back ({did}) and pause it?"


def require_undoable(run: dict[str, Any]) -> None:
    """Raises UsageError for a run (see store.record.runs.read_runs) that changed nothing or was taken back already."""
    run_id = run["run_id"]
    if run["undone_by"]:
        raise UsageError(
            f"Run {run_id} was taken back already, by run {run['undone_by']}.",
            hint=f"To do it again: contactsync undo {run['undone_by']}",
        )
    if run["outcome"] != "changed":
        raise UsageError(
            f"Run {run_id} changed nothing ({run['outcome'] or 'it still goes on'}), so there is nothing to take back.",
            hint="`contactsync runs` shows what each run did.",
        )


def _require_unchanged(conflicts: list[Conflict], run_id: int) -> None:
    if not conflicts:
        return
    lines = [f"\n- {conflict.display_name or '(no name)'} ({_words(conflict)})" for conflict in conflicts]
    total = conflicts[0].total
    if total > len(conflicts):
        lines.append(f"\n- and {total - len(conflicts):,} more")
    later = max((conflict.run_id or 0 for conflict in conflicts), default=0)
    raise UndoRefused(
        f"Run {run_id} cannot be taken back: {total:,} of its contacts are not as it left them.{''.join(lines)}",
        hint="Nothing was changed. "
        + (f"Take the later run back first: contactsync undo {later}" if later else "Set those right by hand first."),
    )


def _words(conflict: Conflict) -> str:
    contact = f"contact {conflict.contact_id}"
    return {
        "later run": f"{contact}: run {conflict.run_id} changed it since",
        "person": f"{contact}: a person changed {', '.join(conflict.fields or []) or 'it'} since",
        "gone": f"{contact}: somebody deleted it since",
        "returned": f"{contact}: it is back",
        "forgotten": f"{contact}: which directory entry it stood for is not kept any more",
    }[conflict.reason]
