"""`contactsync runs [NAME]` and `contactsync runs show RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.cli.api import items
from contactsync.cli.output.differences import show_changes
from contactsync.cli.output.summary import show_rejected, show_trimmed
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import NOTHING, at, show_json, show_pairs, show_text
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from contactsync.cli.api import Api
    from contactsync.cli.context import Invocation

COLUMNS = ("Run", "Folder", "Started", "Trigger", "Outcome", "Entries", "New", "Changed", "Gone")
_PAGE = 1000
"""The most changes that the daemon has in one answer."""
_ALL = 2**31


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
    with invocation.api() as api:
        run = _read(api, run_id, limit)
    if as_json:
        show_json(invocation.out, run)
        return
    show_pairs(invocation.out, _pairs(run))
    for text in (run["error"], run["held_reason"]):
        if text:
            invocation.out.print()
            show_text(invocation.out, text)
    if run["held"]:
        _show_plan(invocation.out, run["run_id"], run["held"])
    if run["changes"]:
        invocation.out.print()
        show_changes(invocation.out, run["changes"], left_out=run["changes_left_out"])
    if run["rejected_entries"]:
        invocation.out.print()
        show_rejected(
            invocation.out, f"{counted(run['rejected'], 'entry', 'entries')} rejected:", run["rejected_entries"]
        )
    if run["trimmed"]:
        invocation.out.print()
        show_trimmed(invocation.out, run["trimmed"], run["trimmed_values"])


def _read(api: Api, run_id: int, limit: int) -> dict[str, Any]:
    """The run; changes beyond one page of the API are read by contact id and sorted as the page is."""
    wanted = limit or _ALL
    run: dict[str, Any] = api.get(f"/v1/runs/{run_id}/details", limit=min(wanted, _PAGE) if api.is_daemon else wanted)
    if run["changes_left_out"] and wanted > len(run["changes"]):
        total = len(run["changes"]) + run["changes_left_out"]
        path = f"/v1/runs/{run_id}/plan" if run["held"] else f"/v1/runs/{run_id}"
        changes = sorted(items(api, path, "changes"), key=lambda each: (each["action"], each["display_name"] or ""))
        run["changes"] = changes[:wanted]
        run["changes_left_out"] = total - len(run["changes"])
    return run


def _show_plan(console: Console, run_id: int, plan: Mapping[str, Any]) -> None:
    show_text(console, plan["sentence"])
    if plan["replaced_by"]:
        show_text(console, f"Run {plan['replaced_by']} would delete the same contacts.")
    decided_as = plan["replaced_by"] or run_id
    if plan["state"] == "waiting" or plan["replaced_by"]:
        show_text(
            console,
            f"To allow the deletions: contactsync approve {decided_as}. To discard the plan: contactsync reject "
            f"{decided_as}.",
        )


def _pairs(run: Mapping[str, Any]) -> dict[str, str]:
    verbs = ("to add", "to change", "to delete") if run["outcome"] == "held" else ("added", "changed", "deleted")
    contacts = zip((run["inserted"], run["updated"], run["deleted"]), verbs, strict=True)
    skipped = f" (not available: {', '.join(run['skipped_servers'])})" if run["skipped_servers"] else ""
    pairs = {
        "Run": f"{run['run_id']} of {run['label']}",
        "Outcome": run["outcome"] or "running",
        "Trigger": run["trigger"],
        "Started": at(run["started_at"]),
        "Duration": f"{run['seconds']:.1f} seconds" if run["stages"] else NOTHING,
        "Server": f"{run['server'] or NOTHING}{skipped}",
        "Entries": f"{run['entries']:,} read, {run['unchanged']:,} unchanged",
        "Mode": _mode(run),
        "Contacts": ", ".join(f"{number:,} {verb}" for number, verb in contacts),
    }
    if run["rekeyed"]:
        pairs["Recognised"] = f"{run['rekeyed']:,} under a new identity, with the same ids as before"
    if run["undoes"]:
        pairs["Undoes"] = f"run {run['undoes']}"
    if run["undone_by"]:
        pairs["Undone by"] = f"run {run['undone_by']}"
    return pairs


def _mode(run: Mapping[str, Any]) -> str:
    explanations = {
        "full": run["full_reason"],
        "incremental": "only the changes since the run before were read",
        "counters": "no entry was read, because the server's change counters are those of the run before",
    }
    return ": ".join(filter(None, [run["mode"], explanations.get(run["mode"])]))
