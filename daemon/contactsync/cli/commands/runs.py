"""`contactsync runs [NAME]` and `contactsync runs show RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.cli.api import items
from contactsync.cli.output.differences import show_changes
from contactsync.cli.output.summary import show_rejected, show_trimmed
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import NOTHING, show_json, show_pairs, show_text
from contactsync.model import Mode, Outcome
from contactsync.operations.decisions import state_sentence
from contactsync.operations.preview import ChangeDocument
from contactsync.operations.runs import run_details
from contactsync.text import MOMENT, counted

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.operations.runs import RunDetails
    from contactsync.store.record.holds import HeldPlan
    from contactsync.sync.document import RunDocument

_HELD = ("state", "expires_at", "decided_by", "decided_at", "settled_by", "replaced_by")
COLUMNS = ("Run", "Folder", "Started", "Trigger", "Outcome", "Entries", "New", "Changed", "Gone")


def list_newest(invocation: Invocation, name: str | None, *, limit: int, as_json: bool) -> None:
    """Print the newest runs, of all definitions or of those with this name. Raises UsageError, DatabaseError."""
    with invocation.api() as api:
        runs = list(items(api, "/v1/runs", "runs", most=limit, name=name))
    if as_json:
        show_json(invocation.out, runs)
    elif runs:
        show_runs(invocation.out, runs, COLUMNS)
    else:
        show_text(invocation.out, "There are no runs yet.")


def show_run(invocation: Invocation, run_id: int, *, limit: int, as_json: bool) -> None:
    """Print one run and the first changes (0: all) that it made or would make. Raises NotFound, DatabaseError."""
    with invocation.connection() as connection:
        details = run_details(connection, run_id, limit or None)
    if as_json:
        show_json(invocation.out, _document(details))
        return
    run = details.run
    show_pairs(invocation.out, _pairs(run))
    for text in (run.error, run.held_reason):
        if text:
            invocation.out.print()
            show_text(invocation.out, text)
    if details.plan:
        _show_plan(invocation.out, details.plan)
    if details.changes:
        invocation.out.print()
        show_changes(invocation.out, details.changes, left_out=details.changes_left_out)
    if details.rejected:
        invocation.out.print()
        show_rejected(invocation.out, f"{counted(run.rejected, 'entry', 'entries')} rejected:", details.rejected)
    if run.trimmed:
        invocation.out.print()
        show_trimmed(invocation.out, run.trimmed, details.trimmed)


def _show_plan(console: Console, plan: HeldPlan) -> None:
    show_text(console, state_sentence(plan))
    if plan.replaced_by:
        show_text(console, f"Run {plan.replaced_by} would delete the same contacts.")
    decided_as = plan.replaced_by or plan.run_id
    if plan.state == "waiting" or plan.replaced_by:
        show_text(
            console,
            f"To allow the deletions: contactsync approve {decided_as}. To discard the plan: contactsync reject "
            f"{decided_as}.",
        )


def _pairs(run: RunDocument) -> dict[str, str]:
    verbs = ("to add", "to change", "to delete") if run.outcome is Outcome.HELD else ("added", "changed", "deleted")
    contacts = zip((run.inserted, run.updated, run.deleted), verbs, strict=True)
    skipped = f" (not available: {', '.join(run.skipped_servers)})" if run.skipped_servers else ""
    pairs = {
        "Run": f"{run.run_id} of {run.label}",
        "Outcome": run.outcome or "running",
        "Trigger": run.trigger.value,
        "Started": f"{run.started_at.astimezone():{MOMENT}}",
        "Duration": f"{run.seconds:.1f} seconds" if run.stages else NOTHING,
        "Server": f"{run.server or NOTHING}{skipped}",
        "Entries": f"{run.entries:,} read, {run.unchanged:,} unchanged",
        "Mode": _mode(run),
        "Contacts": ", ".join(f"{number:,} {verb}" for number, verb in contacts),
    }
    if run.rekeyed:
        pairs["Recognised"] = f"{run.rekeyed:,} under a new identity, with the same ids as before"
    if run.undoes:
        pairs["Undoes"] = f"run {run.undoes}"
    if run.undone_by:
        pairs["Undone by"] = f"run {run.undone_by}"
    return pairs


def _mode(run: RunDocument) -> str:
    explanations = {
        Mode.FULL: run.full_reason,
        Mode.INCREMENTAL: "only the changes since the run before were read",
        Mode.COUNTERS: "no entry was read, because the server's change counters are those of the run before",
    }
    return ": ".join(filter(None, [run.mode.value, explanations.get(run.mode)]))


def _document(details: RunDetails) -> dict[str, Any]:
    plan = details.plan
    return {
        **details.run.model_dump(),
        "held": plan and {name: getattr(plan, name) for name in _HELD},
        "changes": [change.model_dump() for change in ChangeDocument.of_all(details.changes)],
        "changes_left_out": details.changes_left_out,
        "rejected_entries": [entry.model_dump() for entry in details.rejected],
        "trimmed_values": [value.model_dump() for value in details.trimmed],
    }
