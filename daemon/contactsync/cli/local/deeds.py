"""The paths of the API that decide and act, without a daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contactsync.operations import decisions
from contactsync.operations.undo import preview_undo, undo
from contactsync.store.record.audit import acting
from contactsync.store.record.holds import request_approved_run

if TYPE_CHECKING:
    from contactsync.cli.local.api import LocalApi


def _approve(api: LocalApi, run_id: int, digest: str | None = None) -> decisions.Decided:
    """Allow the deletions; a daemon on the same database makes the run, if one is connected to it."""
    connection, actor = api.connection, api.invocation.actor
    plan = decisions.open_plan(connection, run_id, digest)
    decisions.approve(connection, plan, actor)
    with acting(connection, actor):
        requested = request_approved_run(connection, plan)
    return decisions.Decided.of(plan, "approved", requested=requested)


def _reject(api: LocalApi, run_id: int) -> decisions.Decided:
    plan = decisions.open_plan(api.connection, run_id)
    decisions.reject(api.connection, plan, api.invocation.actor)
    return decisions.Decided.of(plan, "rejected", requested=False)


ROUTES: dict[str, Callable[..., Any]] = {
    "GET /v1/runs/{run_id}/plan": lambda api, run_id, **query: decisions.plan_page(api.connection, run_id, **query),
    "POST /v1/runs/{run_id}/approve": _approve,
    "POST /v1/runs/{run_id}/reject": _reject,
    "GET /v1/runs/{run_id}/undo": lambda api, run_id: preview_undo(api.connection, run_id),
    "POST /v1/runs/{run_id}/undo": lambda api, run_id: undo(api.pool, run_id, api.invocation.actor),
}
"""The function of each path; see contactsync.cli.local.api."""
