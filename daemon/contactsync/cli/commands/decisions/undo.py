"""`contactsync undo RUN`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.text import show_json, show_text
from contactsync.cli.prompts import confirm
from contactsync.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation


def undo_run(invocation: Invocation, run_id: int, *, yes: bool, as_json: bool) -> None:
    """Show what would be undone, ask the user, undo the run, and print the result.

    Raises UsageError, UndoRefused, AlreadyRunning, DatabaseError, ControlError.
    """
    with invocation.api() as api:
        plan = api.get(f"/v1/runs/{run_id}/undo")
        if plan["possible"] and not yes:  # else the request fails with the reason
            confirm(f"Undo run {run_id} of {plan['label']} ({_numbers(plan)}) and pause it?")
        undone = api.post(f"/v1/runs/{run_id}/undo", timeout=None)
    if as_json:
        show_json(invocation.out, undone)
    else:
        _show(invocation.out, undone)


def _numbers(plan: Mapping[str, Any]) -> str:
    numbers = {"remove": plan["removed"], "set back": plan["set_back"], "restore": plan["restored"]}
    return ", ".join(f"{verb} {counted(number, 'contact')}" for verb, number in numbers.items() if number)


def _show(console: Console, undone: Mapping[str, Any]) -> None:
    run = undone["run"]
    numbers = {"removed": run["deleted"], "set back": run["updated"], "restored": run["inserted"]}
    changes = ", ".join(f"{counted(number, 'contact')} {verb}" for verb, number in numbers.items() if number)
    show_text(console, f"Run {run['run_id']} has undone run {run['undoes']}: {changes or 'only photos were changed'}.")
    if undone["photos_lost"]:
        show_text(
            console,
            f"{counted(undone['photos_lost'], 'photo')} that it replaced or removed cannot be restored, because they"
            " are not kept. The directory may still have them.",
            style="yellow",
        )
    state = "is paused now" if undone["paused"] else "was paused already"
    resume = f"contactsync folders resume {shlex.quote(run['label'])}"
    show_text(console, f"{run['label']} {state}. After you have fixed the cause: {resume}")
