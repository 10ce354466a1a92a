"""What can be set going, stopped and changed: runs, definitions, the settings."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from contactsync.api.context import ApiContext, Context
from contactsync.api.problems import Stopping, TakenBack
from contactsync.api.routes.read import DefinitionId, Name, RunId
from contactsync.api.schemas import Cancelled, Ref, Reloaded, Requested, Synchronized
from contactsync.errors import ContactsyncError, NotFound
from contactsync.model import Definition, RunReport, Trigger
from contactsync.operations.definitions import set_enabled
from contactsync.store.pool import connection_of
from contactsync.sync.document import RunResult, not_started

router = APIRouter(tags=["doing"])

Wait = Annotated[bool, Query(description="Answer when the runs have ended, with what they did.")]


@router.post("/definitions/{definition_id}/sync", responses={202: {"model": Requested}})
async def sync_definition(
    definition_id: DefinitionId, context: Context, request: Request, response: Response, *, wait: Wait = False
) -> Synchronized | Requested:
    """Run a definition now, also a paused one; after the run that goes on, if one does."""
    found = await run_in_threadpool(context.definition, definition_id)
    return await _sync([found], context, request, response, wait=wait, individual=True)


@router.post("/sync", responses={202: {"model": Requested}})
async def sync_all(
    context: Context,
    request: Request,
    response: Response,
    *,
    name: Name = None,
    wait: Wait = False,
) -> Synchronized | Requested:
    """Run every definition now that is not paused; or those with a name, also paused ones."""
    if name is None:
        wanted = [known.definition for known in context.schedule.followed if known.may_run]
    else:
        wanted = await run_in_threadpool(context.named, name)
    return await _sync(wanted, context, request, response, wait=wait, individual=name is not None)


@router.post("/definitions/{definition_id}/cancel")
def cancel_definition(definition_id: DefinitionId, context: Context) -> Cancelled:
    """Give up the run of a definition that goes on, unless it is applying already."""
    found = context.definition(definition_id)
    ours = [run for run in context.runner.active() if run.definition.definition_id == found.definition_id]
    cancelled = [run.run_id for run in ours if context.runner.cancel(run.run_id)]
    if not cancelled:
        raise NotFound(f"{found.label} is not running.", hint="GET /v1/status shows what runs.")
    return Cancelled(cancelled=cancelled)


@router.post("/runs/{run_id}/cancel")
def cancel_run(run_id: RunId, context: Context) -> Cancelled:
    """Give up a run that goes on, unless it is applying already."""
    if not context.runner.cancel(run_id):
        raise NotFound(f"Run {run_id} does not go on here.", hint="GET /v1/status shows what runs.")
    return Cancelled(cancelled=[run_id])


@router.post("/definitions/{definition_id}/pause")
def pause_definition(definition_id: DefinitionId, context: Context) -> Ref:
    """Run it no more by itself."""
    return _set_enabled(context, definition_id, enabled=False)


@router.post("/definitions/{definition_id}/resume")
def resume_definition(definition_id: DefinitionId, context: Context) -> Ref:
    """Run it by its schedule again."""
    return _set_enabled(context, definition_id, enabled=True)


@router.post("/reload")
def reload_settings(context: Context) -> Reloaded:
    """Read settings and definitions again, as SIGHUP does."""
    return context.reload()


async def _sync(
    wanted: list[Definition],
    context: ApiContext,
    request: Request,
    response: Response,
    *,
    wait: bool,
    individual: bool,
) -> Synchronized | Requested:
    dispatch = partial(context.dispatcher.request, trigger=Trigger.MANUAL, individual=individual)
    answers = [dispatch(known.definition_id) for known in wanted]
    if not wait:
        response.status_code = HTTPStatus.ACCEPTED
        return Requested(requested=[_ref(known) for known in wanted])
    await _ended(answers, context, request)
    ended = list(zip(wanted, answers, strict=True))
    if len(ended) == 1 and (reason := _reason(*ended[0])):
        raise reason
    return Synchronized(
        runs=[
            not_started(definition, Trigger.MANUAL, reason)
            if (reason := _reason(definition, answer))
            else RunResult.of(answer.result())
            for definition, answer in ended
        ]
    )


async def _ended(answers: list[Future[RunReport]], context: ApiContext, request: Request) -> None:
    """Wait for all answers, the client's leaving or the daemon's end, whichever is first. Raises Stopping."""
    ends = (_all_of(answers), _gone(request), context.hub.closing.wait())
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(end) for end in ends]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not all(answer.done() for answer in answers):
        # To a client that has gone, nobody says so.
        raise Stopping("The daemon is stopping, so the end of the run is not waited for.")


async def _all_of(answers: list[Future[RunReport]]) -> None:
    """Wait without being able to take back what others wait for as well."""
    loop = asyncio.get_running_loop()
    for answer in answers:
        done = asyncio.Event()

        def wake(_answer: Future[RunReport], done: asyncio.Event = done) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done.set)

        answer.add_done_callback(wake)
        await done.wait()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _reason(known: Definition, answer: Future[RunReport]) -> ContactsyncError | None:
    """What kept a definition from running; anything that is not contactsync's own error is raised."""
    try:
        answer.result(0)
    except CancelledError:
        return TakenBack(
            f"The run of {known.label} was called off before it began.",
            hint="It was paused or removed meanwhile, or the daemon stops.",
        )
    except ContactsyncError as error:
        return error
    return None


def _set_enabled(context: ApiContext, definition_id: int, *, enabled: bool) -> Ref:
    found = context.definition(definition_id)
    with connection_of(context.pool) as connection:
        set_enabled(connection, [found], enabled=enabled)
    return _ref(found)


def _ref(known: Definition) -> Ref:
    return Ref(definition_id=known.definition_id, label=known.label)
