"""Decides about held runs: approve exactly what was shown, or reject it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from contactsync.errors import UsageError
from contactsync.operations.runs import require_run
from contactsync.operations.wording import moment
from contactsync.store.record.holds import HeldPlan, decide, read_held_plan

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger()

_LOOK = "See what it would do now: contactsync preview NAME."


def open_plan(connection: Connection[Any], run_id: int) -> HeldPlan:
    """The plan of a held run that may still be decided, or the newer one with the same deletions.

    Raises UsageError with the reason when there is nothing to decide, DatabaseError.
    """
    plan = require_plan(connection, run_id)
    if plan.state not in {"waiting", "approved"}:
        raise UsageError(f"Run {run_id} cannot be decided any more: {state_words(plan)}", hint=_LOOK)
    return plan


def require_plan(connection: Connection[Any], run_id: int) -> HeldPlan:
    """The plan of a held run, whatever became of it, or the newer one with the same deletions; UsageError."""
    run = require_run(connection, run_id)
    plan = read_held_plan(connection, run_id)
    if plan is not None and plan.stands_for is not None:
        plan = read_held_plan(connection, plan.stands_for) or plan
    if plan is None:
        outcome = run["outcome"] or "still going on"
        raise UsageError(
            f"Run {run_id} is not held, it is {outcome}; there is nothing to decide."
            if outcome != "held"
            else f"Run {run_id} was held, but its plan is not kept any more.",
            hint="`contactsync runs` shows which are held.",
        )
    return plan


def approve(connection: Connection[Any], plan: HeldPlan, *, by: str) -> None:
    """Allow the next run of the definition exactly the deletions of this plan. Raises UsageError, DatabaseError.

    The approval is used up by the next run that is not held, and void once the definition is edited or it expires.
    """
    _decide(connection, plan, "approved", by)


def reject(connection: Connection[Any], plan: HeldPlan, *, by: str) -> None:
    """Discard a plan, or take its approval back while no run has used it. Raises UsageError, DatabaseError."""
    _decide(connection, plan, "rejected", by)


def state_words(plan: HeldPlan) -> str:
    """What became of a held plan, in a sentence."""
    by = f" by {plan.decided_by}" if plan.decided_by else ""
    at = f" on {moment(plan.decided_at)}" if plan.decided_at else ""
    return {
        "waiting": f"It waits to be approved until {moment(plan.expires_at)}.",
        "approved": f"It was approved{by}{at}; the next run may do it until {moment(plan.expires_at)}.",
        "rejected": f"It was rejected{by}{at}.",
        "used": f"It was approved{by}{at}, and run {plan.settled_by} used the approval.",
        "overtaken": f"Run {plan.settled_by} came after it and made it out of date.",
        "void": "The definition was edited since, which made it void.",
        "expired": f"It expired on {moment(plan.expires_at)}.",
    }[plan.state]


def _decide(connection: Connection[Any], plan: HeldPlan, decision: str, by: str) -> None:
    if not decide(connection, plan, decision, by=by):
        now = read_held_plan(connection, plan.run_id) or plan
        raise UsageError(f"Run {plan.run_id} was decided in the meantime. {state_words(now)}", hint=_LOOK)
    names = {"folder": plan.label, "definition": plan.definition_id, "run": plan.run_id}
    log.info("plan.decided", decision=decision, by=by, **names)
