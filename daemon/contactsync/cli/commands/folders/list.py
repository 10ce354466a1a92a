"""`contactsync folders list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import items
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, ago, show_json, show_text, until

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation

NO_DAEMON = "No daemon is running on this database; `contactsync daemon` starts one."
_COLUMNS = ("Folder", "State", "Contacts", "Last run", "Outcome", "Next run")
_STYLES = {
    "invalid": "red",
    "locked": "red",
    "failing": "red",
    "held": "yellow",
    "interrupted": "yellow",
    "ok": "green",
}


def list_folders(invocation: Invocation, *, as_json: bool) -> None:
    """Print each definition with its state and the reason for it. Raises DatabaseError."""
    with invocation.api() as api:
        rows = sorted(
            items(api, "/v1/definitions", "definitions"),
            key=lambda row: (row["owner"] or "", row["folder"], row["definition_id"]),
        )
        daemon_running = api.is_daemon or api.get("/v1/installation")["daemon_running"]
    if as_json:
        show_json(invocation.out, rows)
    elif rows:
        _show(invocation, rows, daemon_running=daemon_running)
    else:
        show_text(invocation.out, "There are no folders yet.")
        show_text(invocation.out, "Add one: contactsync folders add Staff --query ldap://dc1.example.com")


def state_words(state: str) -> str:
    """A state of `definition_overview` for people: `never run`."""
    return state.replace("_", " ")


def _show(invocation: Invocation, rows: Sequence[dict[str, Any]], *, daemon_running: bool) -> None:
    cells = [
        (
            row["label"],
            state_words(row["state"]),
            f"{row['contacts']:,}",
            ago(row["last_started_at"]),
            row["last_outcome"] or NOTHING,
            until(row["next_run_at"]) if daemon_running else NOTHING,
        )
        for row in rows
    ]
    show_table(invocation.out, _COLUMNS, cells, numbers=("Contacts",), styles=_STYLES)
    notes = [f"{row['label']} is {row['state']}: {row['reason']}{_advice(row)}" for row in rows if row["reason"]]
    if any(row["state"] == "locked" for row in rows):
        notes.append("The schedule does not run a locked definition until it is edited or run by hand.")
    if not daemon_running:
        notes.append(NO_DAEMON)
    for note in notes:
        invocation.out.print()
        show_text(invocation.out, note)


def _advice(row: dict[str, Any]) -> str:
    return f" To see its plan: contactsync runs show {row['last_run_id']}" if row["state"] == "held" else ""
