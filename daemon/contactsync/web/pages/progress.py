"""The progress of a run: a page that loads itself again, and a stream that keeps it live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache, partial
from http import HTTPStatus
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from contactsync.errors import ControlError
from contactsync.serving.client import DaemonError
from contactsync.web.context import context_of
from contactsync.web.language import current_language
from contactsync.web.pages.folders import LARGEST_ID, Id, link, render_folder
from contactsync.web.rendering import environment
from contactsync.web.visit import CurrentVisit, Visit

router = APIRouter()

_MESSAGE_SECONDS = 1.0
"""The least time between two messages of one run, except for its end."""
_SILENCE_SECONDS = (1.0, 15.0)
"""The first and the longest time without an event, after which the run is read again."""
_CHECK_SECONDS = 5.0
"""The longest time until the run is read again in the name of the person, whose rights or session may have ended."""
_NUMBERS = {"stage", "entries", "seconds"}
_END = {"outcome", "finished_at", "inserted", "updated", "deleted", "rejected"}
"""What of an event everybody may see who sees the run: events are those of an administrator."""
_FOR_EDITORS = {"further_attempt"}
_LOST = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
Number = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


@router.get("/folders/{definition_id}/progress")
def progress(definition_id: Id, visit: CurrentVisit, request: Number = None, after: Number = None) -> Response:
    """The run that answers a request, or the first one after another run; else the present run or the last."""
    # The run first: if it ends meanwhile, the page is loaded again.
    values = _values(visit, definition_id, request, after)
    definition, run = visit.daemon.get(f"/v1/definitions/{definition_id}"), values["run"]
    if run and run["outcome"] and run["run_id"] == definition["last_run_id"]:
        definition["running"] = False  # the daemon reports the end of a run a moment before its worker is free
    return render_folder(visit, "progress.html.j2", definition, "progress", **values)


@router.get("/folders/{definition_id}/live")
def live(definition_id: Id, visit: CurrentVisit, request: Number = None, after: Number = None) -> Response:
    """The run as server-sent events until it ends; each message is the part of the page with its numbers."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    shown = _NUMBERS | _END | (_FOR_EDITORS if visit.may_edit(definition["folder_id"]) else set())
    key = (visit.person.user, visit.person.groups, visit.person.admin, definition_id, request, after)
    values = partial(_values, visit, definition_id, request, after)
    messages = _messages(visit, definition, partial(context_of(visit.request).live.reads.get, key, values), shown)
    return StreamingResponse(messages, media_type="text/event-stream")


async def _messages(
    visit: Visit, definition: dict[str, Any], read: Callable[[], Awaitable[dict[str, Any]]], shown: set[str]
) -> AsyncIterator[str]:
    context = context_of(visit.request)
    with context.live.watching(definition["definition_id"]) as watcher:
        values, read_at = await read(), monotonic()
        yield _message(definition, values)
        silence = _SILENCE_SECONDS[0]
        while _goes_on(values):
            try:
                await asyncio.wait_for(watcher.changed.wait(), silence)
            except TimeoutError:  # events may have been lost, above all before the connection to the daemon is there
                silence = min(2 * silence, _SILENCE_SECONDS[1])
            if not context.sessions.is_open(visit.request.state.token):
                break
            is_shown = watcher.changed.is_set() and _is_of(watcher.run, values)
            watcher.changed.clear()
            watcher.finished.clear()
            if not is_shown or monotonic() - read_at > _CHECK_SECONDS:
                try:
                    values, read_at = await read(), monotonic()
                except ControlError as error:
                    if isinstance(error, DaemonError) and error.status in _LOST:
                        break  # the page, which is loaded again, says why
                    continue  # the daemon is away
            if is_shown and _goes_on(values):
                numbers = {name: value for name, value in (watcher.run or {}).items() if name in shown}
                values = {**values, "run": {**values["run"], **numbers}}
            yield _message(definition, values)
            if _goes_on(values):
                await _rest(watcher.finished)
    yield "event: finished\ndata: -\n\n"


def _is_of(event: dict[str, Any] | None, values: dict[str, Any]) -> bool:
    """Whether an event is of the run that is shown."""
    run = values["run"]
    return bool(event and run and event["run_id"] == run["run_id"])


async def _rest(finished: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(finished.wait(), _MESSAGE_SECONDS)
    except TimeoutError:
        return


def _values(visit: Visit, definition_id: int, request: int | None, after: int | None) -> dict[str, Any]:
    here = f"/folders/{definition_id}"
    more = {
        "place": None,
        "withdrawn": None,
        "live_url": link(f"{here}/live", request=request, after=after),
    }
    ticket = _ticket(visit, definition_id, request)
    if ticket and ticket["state"] == "withdrawn":
        more["withdrawn"] = ticket["reason"]
    elif ticket and not ticket["run_id"]:
        return {**more, "run": None, "waiting": True, "place": ticket["place"]}
    run = _run(visit, definition_id, ticket["run_id"] if ticket else None)
    if run and after and run["run_id"] <= after:
        return {**more, "run": None, "waiting": True}
    return {**more, "run": run, "waiting": False}


def _ticket(visit: Visit, definition_id: int, request: int | None) -> dict[str, Any] | None:
    if request is None:
        return None
    try:
        requested = visit.daemon.get(f"/v1/requests/{request}", after=definition_id - 1, limit=1)["requested"]
    except DaemonError:  # old requests are forgotten
        return None
    return next((each for each in requested if each["definition_id"] == definition_id), None)


def _run(visit: Visit, definition_id: int, run_id: int | None) -> dict[str, Any] | None:
    """The run with this id, or the newest; one in progress with its numbers, which only administrators may read."""
    if run_id is None:
        runs = visit.daemon.get("/v1/runs", definition_id=definition_id, limit=1)["runs"]
        run: dict[str, Any] | None = runs[0] if runs else None
    else:
        run = visit.daemon.get(f"/v1/runs/{run_id}", limit=1)
    if run and not run["outcome"] and visit.person.admin:
        running = visit.daemon.get("/v1/status")["running"]
        return next((each for each in running if each["run_id"] == run["run_id"]), run)
    return run


def _goes_on(values: dict[str, Any]) -> bool:
    return values["waiting"] or bool(values["run"] and not values["run"]["outcome"])


def _message(definition: dict[str, Any], values: dict[str, Any]) -> str:
    return _message_of(current_language(), json.dumps({"definition": definition, **values}))


@lru_cache(maxsize=64)
def _message_of(language: str, document: str) -> str:
    """The message with these values, for all who watch a run in one language."""
    text = environment().get_template("progress_run.html.j2").render(language=language, **json.loads(document))
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
