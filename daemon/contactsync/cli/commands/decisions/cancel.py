"""`contactsync cancel`, and what Ctrl-C leaves running in the daemon."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.cli.output.text import show_json, show_text
from contactsync.errors import ControlError
from contactsync.serving.client import live_daemon
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.serving.client import Daemon


def cancel(invocation: Invocation, target: str, *, as_json: bool) -> None:
    """Cancel a run by its number, or the runs of the definitions with a name. Raises ControlError."""
    daemon = live_daemon(invocation.control_socket)
    if daemon is None:
        raise ControlError(
            "No daemon is running, so there is no run to cancel.",
            hint="A run that `contactsync sync` makes without a daemon is cancelled by Ctrl-C in its terminal.",
        )
    is_run = target.isdecimal()
    answer = daemon.post(f"/v1/runs/{target}/cancel") if is_run else daemon.post("/v1/cancel", name=target)
    if as_json:
        show_json(invocation.out, answer)
        return
    for run_id in answer["cancelled"]:
        show_text(invocation.out, f"Cancelled run {run_id}. If it applies its changes already, it still ends.")
    for ref in answer["withdrawn"]:
        show_text(invocation.out, f"Cancelled the run of {ref['label']} before its start.")


def what_goes_on(daemon: Daemon, name: str | None, ids: set[int] | None) -> str:
    """What the daemon still does for the definitions of a name, or for all, after Ctrl-C, and how to cancel it."""
    try:
        status = daemon.get("/v1/status")
    except ControlError:
        return "Interrupted. The daemon may go on with the run."
    runs = [run for run in status["running"] if ids is None or run["definition_id"] in ids]
    if len(runs) == 1:
        (run,) = runs
        what, how = f"run {run['run_id']} of {run['label']}", f"contactsync cancel {run['run_id']}"
    elif runs or status["waiting"]:
        what = counted(len(runs) or status["waiting"], "run")
        how = f"contactsync cancel {shlex.quote(name)}" if name else "contactsync status, contactsync cancel RUN"
    else:
        return "Interrupted. The daemon has ended the run; `contactsync runs` shows it."
    return f"Interrupted. The daemon goes on with {what}. To cancel {'it' if len(runs) == 1 else 'them'}: {how}"
