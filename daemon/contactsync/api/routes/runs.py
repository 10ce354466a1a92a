"""Cancel runs, and reload the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.actor import CurrentActor
from contactsync.api.context import ApiContext, Context
from contactsync.api.routes.definitions import DefinitionId, ref
from contactsync.api.routes.read import RunId
from contactsync.api.schemas import Cancelled, Reloaded
from contactsync.errors import NotFound
from contactsync.model import Actor, Definition
from contactsync.operations.audit import record_cancel, withdraw_run
from contactsync.store.pool import connection_of

router = APIRouter(tags=["control"])

_RUNNING = "`contactsync status` shows the current runs."


@router.post("/definitions/{definition_id}/cancel")
def cancel_definition(definition_id: DefinitionId, context: Context, actor: CurrentActor) -> Cancelled:
    """Cancel the current run of a definition, unless it has started to apply its plan, and the one it waits for."""
    return _cancel_definitions(context, actor, [context.definition(definition_id)])


@router.post("/cancel")
def cancel_named(
    context: Context,
    actor: CurrentActor,
    access: CurrentAccess,
    name: Annotated[str, Query(description="As for the list of definitions.", examples=["Staff"])],
) -> Cancelled:
    """Cancel the runs of the definition with this name, or of all of the folder with this name."""
    return _cancel_definitions(context, actor, context.named(name, access))


@router.post("/runs/{run_id}/cancel")
def cancel_run(run_id: RunId, context: Context, actor: CurrentActor) -> Cancelled:
    """Cancel a run, unless it has started to apply its plan."""
    if not _cancel(context, actor, run_id=run_id):
        raise NotFound(f"Run {run_id} is not running here.", hint=_RUNNING)
    return Cancelled(cancelled=[run_id], withdrawn=[])


@router.post("/reload")
def reload_settings(context: Context) -> Reloaded:
    """Read settings and definitions again, as SIGHUP does."""
    return context.reload()


def _cancel_definitions(context: ApiContext, actor: Actor, definitions: list[Definition]) -> Cancelled:
    withdrawn = [each for each in definitions if _withdraw(context, actor, each)]
    cancelled = _cancel(context, actor, definition_ids=[definition.definition_id for definition in definitions])
    if not (cancelled or withdrawn):
        labels = " and ".join(definition.label for definition in definitions)
        raise NotFound(f"{labels} {'is' if len(definitions) == 1 else 'are'} not running.", hint=_RUNNING)
    return Cancelled(cancelled=cancelled, withdrawn=[ref(definition) for definition in withdrawn])


def _withdraw(context: ApiContext, actor: Actor, definition: Definition) -> bool:
    """Withdraw the run that a definition waits for, with the requests for it."""
    withdrawn = context.dispatcher.forget(definition.definition_id)
    if withdrawn:
        with connection_of(context.pool) as connection:
            withdraw_run(connection, actor, definition)
    return withdrawn


def _cancel(
    context: ApiContext, actor: Actor, *, run_id: int | None = None, definition_ids: Sequence[int] = ()
) -> list[int]:
    """Cancel the run with this id, or of these definitions, on any node; returns the ids of cancelled runs."""
    here = [
        run for run in context.runner.active() if run.run_id == run_id or run.definition.definition_id in definition_ids
    ]
    cancelled = [
        (run.run_id, run.definition.key, run.definition.label) for run in here if context.runner.cancel(run.run_id)
    ]
    if context.fleet:
        for row in context.fleet.cancel(run_id=run_id, definition_ids=definition_ids):
            key = {"folder_id": row["folder_id"], "definition_id": row["definition_id"]}
            cancelled.append((row["run_id"], key, row["label"]))
    for run in cancelled:
        with connection_of(context.pool) as connection:
            record_cancel(connection, actor, *run)
    return [run[0] for run in cancelled]
