"""`contactsync approve RUN` and `contactsync reject RUN`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.cli.commands.sync import exit_code_of_run, run_each
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.text import show_text
from contactsync.cli.prompts import confirm
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.operations.names import find_by_id
from contactsync.store.record.audit import acting
from contactsync.store.record.holds import held_changes, request_approved_run
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.model import Change
    from contactsync.store.record.holds import HeldPlan


def approve_run(invocation: Invocation, run_id: int, *, limit: int, yes: bool) -> int:
    """Print what an approval allows, record it, and have the definition run; returns the exit code.

    The daemon makes the run; this process makes it if no daemon is connected or the definition is paused. Raises
    NotFound, UsageError if there is nothing to approve, AlreadyRunning, DatabaseError.
    """
    with invocation.connection() as connection:
        plan = open_plan(connection, run_id)
        deletions = held_changes(connection, plan, action="delete", limit=limit or None)
        _show(invocation.out, run_id, plan, deletions)
        if not yes:
            confirm(f"Allow {counted(plan.deleted, 'deletion')} in {plan.label}?")
        approve(connection, plan, invocation.actor)
        show_text(invocation.out, f"Approved run {plan.run_id}.")
        with acting(connection, invocation.actor):
            requested = request_approved_run(connection, plan)
        if not requested:
            definition = find_by_id(connection, plan.definition_id)
            with invocation.pool() as pool:
                (run,) = run_each(invocation, pool, [definition], named=True)
            return exit_code_of_run(run)
    result = f"contactsync runs {shlex.quote(plan.label)}"
    show_text(invocation.out, f"The daemon runs {plan.label} now. To see the result: {result}")
    return ExitCode.DONE


def reject_run(invocation: Invocation, run_id: int) -> None:
    """Discard a held plan or withdraw its approval. Raises NotFound, UsageError if there is nothing to discard."""
    with invocation.connection() as connection:
        plan = open_plan(connection, run_id)
        reject(connection, plan, invocation.actor)
    what = "Withdrew the approval of" if plan.state == "approved" else "Rejected"
    show_text(invocation.out, f"{what} run {plan.run_id}.")
    if plan.enabled:
        pause = f"contactsync folders pause {shlex.quote(plan.label)}"
        show_text(invocation.out, f"The next run of {plan.label} makes a new plan. To stop it: {pause}")


def _show(console: Console, run_id: int, plan: HeldPlan, deletions: Sequence[Change]) -> None:
    if plan.run_id != run_id:
        show_text(console, f"Run {run_id} was followed by run {plan.run_id}, which would delete the same contacts.")
    show_text(console, f"Run {plan.run_id} of {plan.label} is held. {plan.held_reason}")
    show_text(console, f"An approval allows it to delete {'this contact' if plan.deleted == 1 else 'these contacts'}:")
    for change in deletions:
        emails = change.fields.get("emails", [None, None])[0]
        show_text(console, f"  - {change.display_name or '(no name)'}{f' <{emails[0]}>' if emails else ''}")
    if plan.deleted > len(deletions):
        show_text(console, f"  ... and {plan.deleted - len(deletions):,} more; --limit 0 shows all.")
    others = {"add": plan.inserted, "change": plan.updated}
    if any(others.values()):
        what = " and ".join(f"{verb} {number:,}" for verb, number in others.items() if number)
        show_text(console, f"It would also {what}, which needs no approval.")
    if plan.rekeyed:
        recognised = f"Of the changed ones, {plan.rekeyed:,} are recognised under a new identity and keep their ids."
        show_text(console, recognised)
