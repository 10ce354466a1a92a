"""Decisions about held runs: approve exactly the deletions and cleared fields that were shown, or reject them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import BaseModel, Field

from contactsync.errors import NotFound, UsageError
from contactsync.operations.preview import ChangeDocument
from contactsync.operations.runs import require_run
from contactsync.store.record.audit import acting, write_audit
from contactsync.store.record.holds import HeldPlan, decide, held_page, read_held_plan
from contactsync.store.record.runs import LARGEST_ID
from contactsync.text import MOMENT

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Actor

log = structlog.get_logger()


class Plan(BaseModel):
    """A held plan and a page of its changes; `after` of the next page, or null on the last."""

    run_id: int
    definition_id: int
    label: str
    digest: str = Field(description="Represents what would be lost; `approve` takes it.")
    state: Literal["waiting", "approved", "rejected", "used", "overtaken", "void", "expired"]
    held_reason: str | None
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    settled_by: int | None
    replaced_by: int | None = Field(description="The newer run that would lose the same.")
    inserted: int
    updated: int
    deleted: int
    rekeyed: int = Field(description="Updated contacts whose entry has another identity than before.")
    cleared: dict[str, int] = Field(
        description="The fields that would be left blank in too many contacts, with the number of contacts."
    )
    enabled: bool = Field(description="Whether the definition runs automatically.")
    changes: list[ChangeDocument]
    next_after: int | None


class Decided(BaseModel):
    """A decision. `run_id` may be a newer run than the one that was asked about, which would lose the same."""

    run_id: int
    definition_id: int
    label: str
    decision: Literal["approved", "rejected"]
    requested: bool = Field(description="Whether the daemon runs the definition now.")

    @classmethod
    def of(cls, plan: HeldPlan, decision: Literal["approved", "rejected"], *, requested: bool) -> Decided:
        """The decision about a plan."""
        ids = {"run_id": plan.run_id, "definition_id": plan.definition_id}
        return cls(**ids, label=plan.label, decision=decision, requested=requested)


_HINT = "See what it would do now: contactsync preview NAME."


def open_plan(connection: Connection[Any], run_id: int, digest: str | None = None) -> HeldPlan:
    """The plan of a held run that may still be decided, or the newer plan that would lose the same.

    Raises NotFound, UsageError if there is nothing to decide or the plan has another `digest`, DatabaseError.
    """
    plan = _open_plan(connection, run_id)
    if digest is not None and digest != plan.digest:
        raise UsageError(
            f"Run {plan.run_id} would delete or clear other contacts than those that were shown.",
            hint="Look at its plan again.",
        )
    return plan


def held_plan(connection: Connection[Any], run_id: int) -> HeldPlan:
    """The plan of a held run in any state. Raises NotFound, DatabaseError."""
    plan = read_held_plan(connection, run_id) if run_id <= LARGEST_ID else None
    if plan is None:
        raise NotFound(f"There is no held plan of a run {run_id}.", hint="`contactsync runs` shows which are held.")
    return plan


def plan_page(
    connection: Connection[Any],
    run_id: int,
    *,
    undecided: bool = False,
    action: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> Plan:
    """A held plan and the first changes with a contact id above `after`; `action` as for `held_page` of the store.

    With `undecided` it is the plan that `open_plan` gives. Raises NotFound, UsageError, DatabaseError.
    """
    plan = open_plan(connection, run_id) if undecided else held_plan(connection, run_id)
    changes = held_page(connection, plan, action=action, after=after, limit=limit)
    return Plan(
        **{name: getattr(plan, name) for name in Plan.model_fields.keys() - {"changes", "next_after"}},
        changes=ChangeDocument.of_all(changes),
        next_after=changes[-1].contact_id if len(changes) == limit else None,
    )


def _open_plan(connection: Connection[Any], run_id: int) -> HeldPlan:
    plan = read_held_plan(connection, run_id) if run_id <= LARGEST_ID else None
    if plan is not None and plan.replaced_by is not None:
        plan = read_held_plan(connection, plan.replaced_by) or plan
    if plan is None:
        outcome = require_run(connection, run_id).outcome or "still running"
        raise UsageError(
            f"Run {run_id} is not held, it is {outcome}; there is nothing to decide."
            if outcome != "held"
            else f"Run {run_id} was held, but its plan is not kept any more.",
            hint="`contactsync runs` shows which are held.",
        )
    if plan.state not in {"waiting", "approved"}:
        raise UsageError(f"Run {run_id} cannot be decided any more: {state_sentence(plan)}", hint=_HINT)
    return plan


def approve(connection: Connection[Any], plan: HeldPlan, actor: Actor) -> None:
    """Allow the next run of the definition exactly the losses of this plan. Raises UsageError, DatabaseError.

    The next run that is not held uses the approval up. An edit of the definition makes it void, and it expires.
    """
    _decide(connection, plan, "approved", actor)


def reject(connection: Connection[Any], plan: HeldPlan, actor: Actor) -> None:
    """Discard a plan, or withdraw its approval while no run has used it. Raises UsageError, DatabaseError."""
    _decide(connection, plan, "rejected", actor)


def state_sentence(plan: HeldPlan) -> str:
    """The state of a held plan."""
    by = f" by {plan.decided_by}" if plan.decided_by else ""
    at = f" on {plan.decided_at.astimezone():{MOMENT}}" if plan.decided_at else ""
    expires = f"{plan.expires_at.astimezone():{MOMENT}}"
    return {
        "waiting": f"It waits for a decision until {expires}.",
        "approved": f"It was approved{by}{at}; the next run may apply it until {expires}.",
        "rejected": f"It was rejected{by}{at}.",
        "used": f"It was approved{by}{at}, and run {plan.settled_by} used the approval.",
        "overtaken": f"Run {plan.settled_by} replaced it.",
        "void": "The definition was edited since, which made it void.",
        "expired": f"It expired on {expires}.",
    }[plan.state]


def _decide(connection: Connection[Any], plan: HeldPlan, decision: str, actor: Actor) -> None:
    with acting(connection, actor):
        if not decide(connection, plan, decision, by=actor.label):
            current = read_held_plan(connection, plan.run_id) or plan
            raise UsageError(f"Run {plan.run_id} was decided in the meantime. {state_sentence(current)}", hint=_HINT)
        write_audit(
            connection,
            f"run.{decision}",
            key={"folder_id": plan.folder_id, "definition_id": plan.definition_id},
            label=plan.label,
            run_id=plan.run_id,
            after={"inserted": plan.inserted, "updated": plan.updated, "deleted": plan.deleted}
            | ({"cleared": plan.cleared} if plan.cleared else {}),
        )
    names = {"folder": plan.label, "definition": plan.definition_id, "run": plan.run_id}
    log.info("plan.decided", decision=decision, by=actor.label, **names)
