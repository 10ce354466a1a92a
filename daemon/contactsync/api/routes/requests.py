"""Request runs, now or with their results, and follow the ticket of a request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.actor import CurrentActor
from contactsync.api.context import ApiContext, Context
from contactsync.api.routes.definitions import DefinitionId, Name
from contactsync.api.routes.events import disconnected
from contactsync.api.routes.read import Limit
from contactsync.api.schemas import Synchronized
from contactsync.errors import ContactsyncError, RequestedTooOften, RunWithdrawn, Stopping
from contactsync.model import NamedDefinition, RunReport, Trigger
from contactsync.operations.access.person import PersonAccess
from contactsync.operations.requests.queue import Submitted
from contactsync.operations.requests.tickets import Ticket
from contactsync.store.record.runs import LARGEST_ID
from contactsync.sync.document import RunResult, not_started
from contactsync.text import lower

router = APIRouter(tags=["requests"])

RequestId = Annotated[int, Path(description="The `request_id` of a ticket.", ge=1, le=LARGEST_ID, examples=[1])]
Wait = Annotated[bool, Query(description="Answer after the runs have ended, with their results.")]
_MOST_ON_TICKET = 1000
_TICKET: dict[int | str, dict[str, Any]] = {202: {"model": Ticket, "description": "The ticket; the runs follow."}}


@router.post("/definitions/{definition_id}/sync", responses=_TICKET)
async def sync_definition(
    definition_id: DefinitionId,
    context: Context,
    request: Request,
    response: Response,
    actor: CurrentActor,
    access: CurrentAccess,
    *,
    wait: Wait = False,
) -> Synchronized | Ticket:
    """Run a definition now, also a paused one; after its current run, if there is one. The answer is a ticket."""
    definition = await run_in_threadpool(context.definition, definition_id)
    if isinstance(access, PersonAccess):
        _require_pause(context, lower(access.name), definition_id)
    submit = partial(context.requests.submit, actor, [definition], awaited=wait)
    return await _sync(submit, context, request, response, wait=wait)


@router.post("/sync", responses=_TICKET)
async def sync_all(
    context: Context,
    request: Request,
    response: Response,
    actor: CurrentActor,
    access: CurrentAccess,
    *,
    name: Name = None,
    wait: Wait = False,
) -> Synchronized | Ticket:
    """Run all definitions now that are not paused; with a name, run those, also paused ones. The answer is a ticket."""
    definitions = None if name is None else await run_in_threadpool(context.named, name, access)
    submit = partial(context.requests.submit, actor, definitions, access, awaited=wait)
    return await _sync(submit, context, request, response, wait=wait)


@router.get("/requests/{request_id}")
def ticket(
    request_id: RequestId,
    context: Context,
    after: Annotated[int, Query(description="Only definitions with an id above this.", ge=0, le=LARGEST_ID)] = 0,
    limit: Limit = 100,
) -> Ticket:
    """What became of a request by the API or by SQL: its place in the queue, its run, or why no run will answer."""
    return context.requests.ticket(request_id, after=after, limit=limit)


@router.post("/requests/{request_id}/cancel")
def cancel_ticket(request_id: RequestId, context: Context, actor: CurrentActor) -> Ticket:
    """Withdraw a request where no run has started. A run that has started goes on, and so do other requests."""
    return context.requests.cancel(actor, request_id)


def _require_pause(context: ApiContext, name: str, definition_id: int) -> None:
    if seconds := context.by_hand.take((name, definition_id), 1):
        message = "You have requested a run of this folder less than a minute ago."
        raise RequestedTooOften(message, seconds=math.ceil(seconds))


async def _sync(
    submit: Callable[[], Submitted],
    context: ApiContext,
    request: Request,
    response: Response,
    *,
    wait: bool,
) -> Synchronized | Ticket:
    submitted = await run_in_threadpool(submit)
    if not wait:
        response.status_code = HTTPStatus.ACCEPTED
        if submitted.request_id is not None:
            response.headers["location"] = f"/v1/requests/{submitted.request_id}"
        return await run_in_threadpool(context.requests.ticket, submitted.request_id, limit=_MOST_ON_TICKET)
    await _wait_for(submitted.answers, context, request)
    return await run_in_threadpool(_results, context, submitted)


def _results(context: ApiContext, submitted: Submitted) -> Synchronized:
    runs = []
    for definition, answer in zip(submitted.definitions, submitted.answers, strict=True):
        if error := _error(definition, answer):
            # The client knows now: no later run answers this request.
            context.requests.withdraw(definition.definition_id, str(error), submitted.request_id)
            if len(submitted.answers) == 1:
                raise error
            runs.append(not_started(definition, Trigger.MANUAL, error))
        else:
            runs.append(RunResult.of(answer.result()))
    return Synchronized(runs=runs)


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


def _error(definition: NamedDefinition, answer: Future[RunReport]) -> ContactsyncError | None:
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
