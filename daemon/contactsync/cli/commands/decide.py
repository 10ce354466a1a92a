"""`contactsync approve RUN` and `contactsync reject RUN`."""

from __future__ import annotations

import getpass
import shlex
from typing import TYPE_CHECKING

from contactsync.cli.commands.sync import exit_code_of_run, run_each
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.text import show_text
from contactsync.cli.prompts import confirm
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.operations.runs import require_definition, require_run
from contactsync.store.health import daemon_listens
from contactsync.store.pool import connection_of
from contactsync.store.record.holds import held_changes
from contactsync.store.record.runs import request_run
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.model import Change, Definition
    from contactsync.store.record.holds import HeldPlan


def approve_run(invocation: Invocation, run_id: int, *, limit: int, yes: bool) -> int:
    """Print what an approval allows, record it, and run the definition; returns the exit code.

    Raises UsageError if there is nothing to approve or no confirmation, DatabaseError.
    """
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            plan = open_plan(connection, run_id)
            definition = require_definition(connection, require_run(connection, plan.run_id))
            deletions = held_changes(connection, plan, action="delete", limit=limit or None)
            _show(invocation.out, run_id, plan, definition, deletions)
            confirm(f"Allow {counted(plan.deleted, 'deletion')} in {definition.label}?", yes=yes)
            approve(connection, plan, by=getpass.getuser())
            by_daemon = definition.enabled and daemon_listens(connection)
            if by_daemon:
                request_run(connection, definition)
        show_text(invocation.out, f"Approved run {plan.run_id}.")
        if not by_daemon:
            (result,) = run_each(invocation, pool, [definition], named=True)
            return exit_code_of_run(result)
    result_command = f"contactsync runs {shlex.quote(definition.label)}"
    show_text(invocation.out, f"The daemon runs {definition.label} now. To see the result: {result_command}")
    return ExitCode.DONE


def reject_run(invocation: Invocation, run_id: int) -> None:
    """Discard a held plan, or take its approval back. Raises UsageError if there is none, DatabaseError."""
    with invocation.connection() as connection:
        plan = open_plan(connection, run_id)
        definition = require_definition(connection, require_run(connection, plan.run_id))
        reject(connection, plan, by=getpass.getuser())
    done = "Took back the approval of" if plan.state == "approved" else "Rejected"
    show_text(invocation.out, f"{done} run {plan.run_id}.")
    if definition.enabled:
        pause = f"contactsync folders pause {shlex.quote(definition.label)}"
        show_text(invocation.out, f"The next run of {definition.label} makes a new plan. To stop it: {pause}")


def _show(console: Console, run_id: int, plan: HeldPlan, definition: Definition, deletions: Sequence[Change]) -> None:
    if plan.run_id != run_id:
        show_text(console, f"Run {run_id} was followed by run {plan.run_id}, which would delete the same contacts.")
    show_text(console, f"Run {plan.run_id} of {definition.label} is held. {plan.held_reason}")
    show_text(console, f"An approval allows it to delete {'this contact' if plan.deleted == 1 else 'these contacts'}:")
    for change in deletions:
        show_text(console, f"  - {_named(change)}")
    if plan.deleted > len(deletions):
        show_text(console, f"  ... and {plan.deleted - len(deletions):,} more; --limit 0 shows all.")
    others = {"add": plan.inserted, "change": plan.updated}
    if any(others.values()):
        what = " and ".join(f"{verb} {number:,}" for verb, number in others.items() if number)
        show_text(console, f"It would also {what}, which needs no approval.")


def _named(change: Change) -> str:
    emails = change.fields.get("emails", ([], None))[0] or []
    return f"{change.display_name or '(no name)'}{f' <{emails[0]}>' if emails else ''}"
