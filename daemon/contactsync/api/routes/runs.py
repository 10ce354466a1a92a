"""Start and cancel runs, pause and resume definitions, reload the settings."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from contactsync.api.actor import CurrentActor
from contactsync.api.context import ApiContext, Context
from contactsync.api.routes.definitions import DefinitionId, Name, ref
from contactsync.api.routes.events import disconnected
from contactsync.api.routes.read import RunId
from contactsync.api.schemas import Cancelled, Reloaded, Requested, Synchronized
from contactsync.errors import ContactsyncError, NotFound, RunWithdrawn, Stopping
from contactsync.model import Actor, Definition, RunReport, Trigger
from contactsync.operations.audit import record_cancel, record_requests, withdraw_run
from contactsync.store.pool import connection_of
from contactsync.sync.document import RunResult, not_started

router = APIRouter(tags=["control"])

_RUNNING = "`contactsync status` and GET /v1/status show the current runs."

Wait = Annotated[bool, Query(description="Answer after the runs have ended, with their results.")]


@router.post("/definitions/{definition_id}/sync", responses={202: {"model": Requested}})
async def sync_definition(
    definition_id: DefinitionId,
    context: Context,
    request: Request,
    response: Response,
    actor: CurrentActor,
    *,
    wait: Wait = False,
) -> Synchronized | Requested:
    """Run a definition now, also a paused one; after its current run, if there is one."""
    definition = await run_in_threadpool(context.definition, definition_id)
    await run_in_threadpool(_record_requests, context, actor, [definition])
    return await _sync([definition], context, request, response, wait=wait, asked_at=time.monotonic())


@router.post("/sync", responses={202: {"model": Requested}})
async def sync_all(
    context: Context,
    request: Request,
    response: Response,
    actor: CurrentActor,
    *,
    name: Name = None,
    wait: Wait = False,
) -> Synchronized | Requested:
    """Run all definitions now that are not paused; with a name, run those, also paused ones."""
    if name is None:
        definitions = [followed.definition for followed in context.schedule.followed if followed.may_run]
    else:
        definitions = await run_in_threadpool(context.named, name)
    await run_in_threadpool(_record_requests, context, actor, None if name is None else definitions)
    asked_at = None if name is None else time.monotonic()
    return await _sync(definitions, context, request, response, wait=wait, asked_at=asked_at)


@router.post("/definitions/{definition_id}/cancel")
def cancel_definition(definition_id: DefinitionId, context: Context, actor: CurrentActor) -> Cancelled:
    """Cancel the current run of a definition, unless it has started to apply its plan, and the one it waits for."""
    return _cancel_definitions(context, actor, [context.definition(definition_id)])


@router.post("/cancel")
def cancel_named(context: Context, actor: CurrentActor, name: Annotated[str, Query()]) -> Cancelled:
    """Cancel the runs of the definition with this name, or of all of the folder with this name."""
    return _cancel_definitions(context, actor, context.named(name))


@router.post("/runs/{run_id}/cancel")
def cancel_run(run_id: RunId, context: Context, actor: CurrentActor) -> Cancelled:
    """Cancel a run, unless it has started to apply its plan."""
    if not _cancel(context, actor, [run for run in context.runner.active() if run.run_id == run_id]):
        raise NotFound(f"Run {run_id} is not running here.", hint=_RUNNING)
    return Cancelled(cancelled=[run_id], withdrawn=[])


@router.post("/reload")
def reload_settings(context: Context) -> Reloaded:
    """Read settings and definitions again, as SIGHUP does."""
    return context.reload()


async def _sync(
    definitions: list[Definition],
    context: ApiContext,
    request: Request,
    response: Response,
    *,
    wait: bool,
    asked_at: float | None,
) -> Synchronized | Requested:
    dispatch = partial(context.dispatcher.request, trigger=Trigger.MANUAL, asked_at=asked_at)
    answers = [dispatch(definition.definition_id) for definition in definitions]
    if not wait:
        response.status_code = HTTPStatus.ACCEPTED
        return Requested(requested=[ref(definition) for definition in definitions])
    await _wait_for(answers, context, request)
    errors = [_error(definition, answer) for definition, answer in zip(definitions, answers, strict=True)]
    if len(errors) == 1 and errors[0]:
        raise errors[0]
    return Synchronized(
        runs=[
            not_started(definition, Trigger.MANUAL, error) if error else RunResult.of(answer.result())
            for definition, answer, error in zip(definitions, answers, errors, strict=True)
        ]
    )


async def _wait_for(answers: list[Future[RunReport]], context: ApiContext, request: Request) -> None:
    """Wait for all answers, until the client disconnects or the daemon stops. Raises Stopping."""
    events = (_all_done(answers), disconnected(request.receive), context.hub.closing.wait())
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not all(answer.done() for answer in answers):
        raise Stopping("The daemon is stopping and does not wait for the end of the run.")


async def _all_done(answers: list[Future[RunReport]]) -> None:
    """Wait; a cancellation does not cancel the answers, which other clients share."""
    loop = asyncio.get_running_loop()
    for answer in answers:
        done = asyncio.Event()

        def wake(_answer: Future[RunReport], done: asyncio.Event = done) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done.set)

        answer.add_done_callback(wake)
        await done.wait()


def _error(definition: Definition, answer: Future[RunReport]) -> ContactsyncError | None:
    """Why a run could not start; None if there is a result. An unexpected exception is raised."""
    try:
        answer.result(0)
    except CancelledError:
        return RunWithdrawn(
            f"The request to run {definition.label} was withdrawn before the run started.",
            hint="A user cancelled it, the definition was paused or removed, or the daemon is stopping.",
        )
    except ContactsyncError as error:
        return error
    return None


def _record_requests(context: ApiContext, actor: Actor, definitions: list[Definition] | None) -> None:
    with connection_of(context.pool) as connection:
        record_requests(connection, actor, definitions)


def _cancel_definitions(context: ApiContext, actor: Actor, definitions: list[Definition]) -> Cancelled:
    withdrawn = [each for each in definitions if _withdraw(context, actor, each)]
    ids = {definition.definition_id for definition in definitions}
    runs = [run for run in context.runner.active() if run.definition.definition_id in ids]
    cancelled = _cancel(context, actor, runs)
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


def _cancel(context: ApiContext, actor: Actor, runs: list[RunReport]) -> list[int]:
    """Cancel runs of this daemon; returns the ids of those that could be."""
    cancelled = [run for run in runs if context.runner.cancel(run.run_id)]
    for run in cancelled:
        with connection_of(context.pool) as connection:
            record_cancel(connection, actor, run)
    return [run.run_id for run in cancelled]
