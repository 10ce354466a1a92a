"""`contactsync folders list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, ago, show_json, show_text, until
from contactsync.operations.overview import STYLES, State, as_document, state_of
from contactsync.store.definitions import read_overview
from contactsync.store.looks import daemon_listens
from contactsync.store.pool import connection_of

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation

COLUMNS = ("Folder", "State", "Contacts", "Last run", "Outcome", "Next run")
NO_DAEMON = "No daemon is running on this database; `contactsync daemon` starts one."


def list_folders(invocation: Invocation, *, as_json: bool) -> None:
    """Every definition with how it does."""
    with invocation.pool() as pool, connection_of(pool) as connection:
        rows = read_overview(connection)
        listens = daemon_listens(connection)
    if as_json:
        show_json(invocation.out, [as_document(row) for row in rows])
    elif rows:
        _show(invocation, rows, listens=listens)
    else:
        show_text(invocation.out, "There are no folders yet.")
        show_text(invocation.out, "Make one: contactsync folders add Staff --query ldap://dc1.example.com")


def _show(invocation: Invocation, rows: Sequence[dict[str, Any]], *, listens: bool) -> None:
    show_table(
        invocation.out,
        COLUMNS,
        [_cells(row, listens=listens) for row in rows],
        numbers=("Contacts",),
        styles={state.value: style for state, style in STYLES.items()},
    )
    for row in rows:
        state = state_of(row)
        if state in {State.INVALID, State.LOCKED}:
            invocation.out.print()
            show_text(invocation.out, f"{row['label']} is {state}: {row['reason']}")
        if state is State.LOCKED:
            show_text(invocation.out, "The schedule does not try it again, until it is edited or run by hand.")
    if not listens:
        invocation.out.print()
        show_text(invocation.out, NO_DAEMON)


def _cells(row: dict[str, Any], *, listens: bool) -> tuple[str, ...]:
    return (
        row["label"],
        state_of(row).value,
        f"{row['contacts']:,}",
        ago(row["last_started_at"]),
        row["last_outcome"] or NOTHING,
        # What a daemon that is gone once planned is not going to happen.
        until(row["next_run_at"]) if listens else NOTHING,
    )
