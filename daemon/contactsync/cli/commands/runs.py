"""`contactsync runs [NAME]` and `contactsync runs show RUN`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.differences import show_changes
from contactsync.cli.output.summary import show_rejected
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import NOTHING, counted, show_json, show_pairs, show_text
from contactsync.operations.holds import state_words
from contactsync.operations.names import find_all
from contactsync.operations.preview import change_documents
from contactsync.operations.runs import require_run
from contactsync.operations.wording import moment
from contactsync.store.pool import connection_of
from contactsync.store.record.holds import HeldPlan, held_changes, read_held_plan
from contactsync.store.record.runs import changes_of_run, read_runs, rejected_of_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection
    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.model import Change

COLUMNS = ("Run", "Folder", "Started", "Why", "Outcome", "Entries", "New", "Changed", "Gone")


@dataclass(frozen=True, slots=True)
class Shown:
    """A run with what it changed (or would change, when it was held) and what it rejected."""

    run: dict[str, Any]
    plan: HeldPlan | None
    changes: Sequence[Change]
    rejected: list[tuple[str, str]]

    @property
    def left_out(self) -> int:
        """Changes that are not shown; those of a held plan may not be kept any more."""
        run = self.run
        kept = run["outcome"] == "changed" or bool(self.changes)
        return run["inserted"] + run["updated"] + run["deleted"] - len(self.changes) if kept else 0


def list_runs(invocation: Invocation, name: str | None, *, limit: int, as_json: bool) -> None:
    """The newest runs, of all definitions or of those that this names. Raises UsageError when there is none."""
    with invocation.pool() as pool, connection_of(pool) as connection:
        ids = [None] if name is None else [found.definition_id for found in find_all(connection, name)]
        runs = [run for wanted in ids for run in read_runs(connection, definition_id=wanted, limit=limit)]
    runs = sorted(runs, key=lambda run: -int(run["run_id"]))[:limit]
    if as_json:
        show_json(invocation.out, runs)
    elif runs:
        show_runs(invocation.out, runs, COLUMNS)
    else:
        show_text(invocation.out, "Nothing has run yet.")


def show_run(invocation: Invocation, run_id: int, *, limit: int, as_json: bool) -> None:
    """One run with the first so many of its changes (0: all). Raises UsageError when there is none of this number."""
    with invocation.pool() as pool, connection_of(pool) as connection:
        shown = _look(connection, run_id, limit or None)
    if as_json:
        show_json(invocation.out, _document(shown))
        return
    show_pairs(invocation.out, _pairs(shown.run))
    for text in (shown.run["error"], shown.run["held_reason"]):
        if text:
            invocation.out.print()
            show_text(invocation.out, text)
    _show_plan(invocation.out, shown)
    if shown.changes:
        invocation.out.print()
        show_changes(invocation.out, shown.changes, left_out=shown.left_out)
    if shown.rejected:
        invocation.out.print()
        rejected = counted(shown.run["rejected"], "entry", "entries")
        show_rejected(invocation.out, f"{rejected} rejected:", shown.rejected)


def _look(connection: Connection[Any], run_id: int, limit: int | None) -> Shown:
    run = require_run(connection, run_id)
    key = {"folder_id": run["folder_id"], "run_id": run_id}
    plan = read_held_plan(connection, run_id)
    if plan is not None:
        changes = held_changes(connection, plan, limit=limit)
    else:
        changes = changes_of_run(connection, **key, limit=limit)
    return Shown(run, plan, changes, rejected_of_run(connection, **key))


def _show_plan(console: Console, shown: Shown) -> None:
    plan = shown.plan
    if plan is None:
        return
    show_text(console, state_words(plan))
    if plan.stands_for:
        show_text(console, f"Run {plan.stands_for} would delete the same contacts.")
    decided_as = plan.stands_for or plan.run_id
    if plan.state == "waiting" or plan.stands_for:
        show_text(
            console,
            f"To allow what it would delete: contactsync approve {decided_as}. To discard it: "
            f"contactsync reject {decided_as}.",
        )


def _pairs(run: dict[str, Any]) -> dict[str, str]:
    would = "would have " if run["outcome"] == "held" else ""
    pairs = {
        "Run": f"{run['run_id']} of {run['label']}",
        "Outcome": run["outcome"] or "running",
        "Why": run["trigger"],
        "Started": moment(run["started_at"]),
        "Took": f"{sum(run['seconds'].values()):.1f} seconds" if run["seconds"] else NOTHING,
        "Server": _server(run),
        "Entries": f"{run['entries']:,} read, {run['unchanged']:,} as before",
        "Read": _read(run),
        "Contacts": f"{would}{run['inserted']:,} added, {run['updated']:,} changed, {run['deleted']:,} deleted",
    }
    if run["undoes"]:
        pairs["Takes back"] = f"run {run['undoes']}"
    if run["undone_by"]:
        pairs["Taken back"] = f"by run {run['undone_by']}"
    return pairs


def _read(run: dict[str, Any]) -> str:
    why = f": {run['full_reason']}" if run["full_reason"] else ""
    read = {
        "full": f"everything{why}",
        "incremental": "what changed since the run before",
        "counters": "nothing: by what the server counts, nothing has changed since the run before",
    }
    return read.get(run["mode"], NOTHING)


def _server(run: dict[str, Any]) -> str:
    skipped_servers = f" (passed over: {', '.join(run['skipped_servers'])})" if run["skipped_servers"] else ""
    return f"{run['server'] or NOTHING}{skipped_servers}"


def _document(shown: Shown) -> dict[str, Any]:
    plan = shown.plan
    return {
        **shown.run,
        "held": {
            "state": plan.state,
            "expires_at": plan.expires_at,
            "decided_by": plan.decided_by,
            "decided_at": plan.decided_at,
            "settled_by": plan.settled_by,
            "stands_for": plan.stands_for,
        }
        if plan
        else None,
        "changes": change_documents(shown.changes),
        "changes_left_out": shown.left_out,
        "rejected_entries": [{"dn": dn, "reason": reason} for dn, reason in shown.rejected],
    }
