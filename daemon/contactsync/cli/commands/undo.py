"""`contactsync undo RUN`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.cli.client import live_daemon
from contactsync.cli.output.text import show_json, show_text
from contactsync.cli.prompts import confirm
from contactsync.errors import ControlForbidden
from contactsync.operations.runs import require_definition, require_run
from contactsync.operations.undo import Undone, require_undoable, undo
from contactsync.store.pool import connection_of
from contactsync.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.store.pool import Pool


def undo_run(invocation: Invocation, run_id: int, *, yes: bool, as_json: bool) -> None:
    """Ask the user, undo the run, and print the result.

    Raises UsageError, UndoRefused, AlreadyRunning, DatabaseError, ControlError.
    """
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            run = require_run(connection, run_id)
            require_undoable(run)
            label = require_definition(connection, run).label
        numbers = {"added": run.inserted, "changed": run.updated, "deleted": run.deleted}
        changes = ", ".join(f"{number:,} {verb}" for verb, number in numbers.items() if number)
        if not yes:
            confirm(f"Undo run {run_id} of {label} ({changes}) and pause it?")
        undone = _undo(invocation, pool, run_id)
    if as_json:
        show_json(invocation.out, undone.model_dump())
    else:
        _show(invocation.out, undone)


def _undo(invocation: Invocation, pool: Pool, run_id: int) -> Undone:
    """By the daemon, if the user may: its events and metrics then have the undo."""
    try:
        if daemon := live_daemon(invocation.control_socket):
            return Undone.model_validate(daemon.post(f"/v1/runs/{run_id}/undo", timeout=None))
    except ControlForbidden:
        pass
    return undo(pool, run_id, invocation.actor)


def _show(console: Console, undone: Undone) -> None:
    run = undone.run
    numbers = {"removed": run.deleted, "set back": run.updated, "restored": run.inserted}
    changes = ", ".join(f"{counted(number, 'contact')} {verb}" for verb, number in numbers.items() if number)
    show_text(console, f"Run {run.run_id} has undone run {run.undoes}: {changes or 'only photos were changed'}.")
    if undone.photos_lost:
        show_text(
            console,
            f"{counted(undone.photos_lost, 'photo')} that it replaced or removed cannot be restored, because they are "
            "not kept. The directory may still have them.",
            style="yellow",
        )
    state = "is paused now" if undone.paused else "was paused already"
    resume = f"contactsync folders resume {shlex.quote(run.label)}"
    show_text(console, f"{run.label} {state}. After you have fixed the cause: {resume}")
