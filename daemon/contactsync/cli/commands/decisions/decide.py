"""`contactsync approve` and `contactsync reject`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import items
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.differences import show_changes
from contactsync.cli.output.text import show_json, show_text
from contactsync.cli.prompts import confirm
from contactsync.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.api import Api
    from contactsync.cli.context import Invocation

Plan = Mapping[str, Any]
"""A held plan, as GET /v1/runs/ID/plan gives it."""


def approve_run(invocation: Invocation, run_id: int, *, limit: int, yes: bool, as_json: bool) -> int:
    """Print what an approval allows, record it, and have the definition run; returns the exit code.

    The daemon makes the run. Without a daemon this process makes it, unless a daemon of another machine is connected
    to the database. Raises NotFound, UsageError if there is nothing to approve, AlreadyRunning, DatabaseError.
    """
    with invocation.api() as api:
        plan = _open_plan(api, run_id)
        if not as_json:
            shown = {
                action: list(items(api, _path(run_id), "changes", most=limit or None, undecided=True, action=action))
                for action in _losses(plan)
            }
            _show(invocation.out, run_id, plan, shown)
        if not yes:
            confirm(f"Allow {' and '.join(_losses(plan).values())} in {plan['label']}?")
        decided = api.post(f"/v1/runs/{run_id}/approve", digest=plan["digest"])
    if as_json:
        show_json(invocation.out, decided)
    else:
        show_text(invocation.out, f"Approved run {decided['run_id']}.")
    if not decided["requested"]:
        return _run_here(invocation, decided["definition_id"], silent=as_json)
    result = f"contactsync runs {shlex.quote(plan['label'])}"
    if not as_json:
        show_text(invocation.out, f"The daemon runs {plan['label']} now. To see the result: {result}")
    return ExitCode.DONE


def reject_run(invocation: Invocation, run_id: int, *, as_json: bool) -> None:
    """Discard a held plan or withdraw its approval. Raises NotFound, UsageError if there is nothing to discard."""
    with invocation.api() as api:
        plan = _open_plan(api, run_id)
        decided = api.post(f"/v1/runs/{run_id}/reject")
    if as_json:
        show_json(invocation.out, decided)
        return
    what = "Withdrew the approval of" if plan["state"] == "approved" else "Rejected"
    show_text(invocation.out, f"{what} run {decided['run_id']}.")
    if plan["enabled"]:
        pause = f"contactsync folders pause {shlex.quote(plan['label'])}"
        show_text(invocation.out, f"The next run of {plan['label']} makes a new plan. To stop it: {pause}")


def _path(run_id: int) -> str:
    return f"/v1/runs/{run_id}/plan"


def _open_plan(api: Api, run_id: int) -> Plan:
    plan: Plan = api.get(_path(run_id), undecided=True, limit=1)
    return plan


def _run_here(invocation: Invocation, definition_id: int, *, silent: bool) -> int:
    from contactsync.cli.commands.sync import exit_code_of_run, run_each
    from contactsync.operations.names import find_by_id
    from contactsync.store.pool import connection_of

    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            definition = find_by_id(connection, definition_id)
        (run,) = run_each(invocation, pool, [definition], named=True, silent=silent)
    return exit_code_of_run(run)


def _losses(plan: Plan) -> dict[str, str]:
    """What an approval allows, in words, by the changes that show it."""
    losses = {}
    if plan["deleted"] or not plan["cleared"]:
        losses["delete"] = counted(plan["deleted"], "deletion")
    if plan["cleared"]:
        fields = (f"{field} in {counted(contacts, 'contact')}" for field, contacts in plan["cleared"].items())
        losses["clear"] = f"clearing {', '.join(fields)}"
    return losses


def _show(console: Console, run_id: int, plan: Plan, shown: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    if plan["run_id"] != run_id:
        show_text(console, f"Run {run_id} was followed by run {plan['run_id']}, which would lose the same.")
    show_text(console, f"Run {plan['run_id']} of {plan['label']} is held. {plan['held_reason']}")
    if "delete" in shown:
        _show_deletions(console, plan, shown["delete"])
    if "clear" in shown:
        _show_cleared(console, plan, shown["clear"])
    # With several cleared fields the number of contacts that lose none of them is not known.
    cleared = plan["cleared"].values()
    changed = plan["updated"] - sum(cleared) if len(cleared) <= 1 else 0
    others = {"add": plan["inserted"], "change": changed}
    if any(others.values()):
        what = " and ".join(f"{verb} {number:,}" for verb, number in others.items() if number)
        show_text(console, f"It would also {what}, which needs no approval.")
    if plan["rekeyed"]:
        recognised = f"Of the changed ones, {plan['rekeyed']:,} are recognised under a new identity and keep their ids."
        show_text(console, recognised)


def _show_cleared(console: Console, plan: Plan, changes: Sequence[Mapping[str, Any]]) -> None:
    show_text(console, f"An approval allows it to clear {', '.join(plan['cleared'])}:")
    show_changes(console, changes, left_out=max(plan["cleared"].values()) - len(changes))


def _show_deletions(console: Console, plan: Plan, deletions: Sequence[Mapping[str, Any]]) -> None:
    these = "this contact" if plan["deleted"] == 1 else "these contacts"
    show_text(console, f"An approval allows it to delete {these}:")
    for change in deletions:
        emails = change["fields"].get("emails", {}).get("before")
        show_text(console, f"  - {change['display_name'] or '(no name)'}{f' <{emails[0]}>' if emails else ''}")
    if plan["deleted"] > len(deletions):
        show_text(console, f"  ... and {plan['deleted'] - len(deletions):,} more; --limit 0 shows all.")
