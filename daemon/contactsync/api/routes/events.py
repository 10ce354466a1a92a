"""The event stream and the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import structlog
from anyio import to_thread
from fastapi import APIRouter, Header
from fastapi.responses import Response

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.access.visible_events import VisibleEvents, still_valid
from contactsync.api.actor import log_fields
from contactsync.api.context import Context
from contactsync.api.events import EventHub
from contactsync.api.watching import Listener, Wants

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = structlog.get_logger()

router = APIRouter(tags=["follow"])

METRICS_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus's exposition formats, text format."""

HEARTBEAT_SECONDS = 5.0
LAST_SECONDS = 5.0
"""How long a client that was too slow may take to read why its stream ends."""
HEARTBEAT = b": contactsync is here\n\n"
"""A comment; the first one confirms to the client that it gets events from now on."""


class EventStream(Response):
    """Server-sent events (WHATWG HTML, section 9.2) until the client leaves or lags behind, or the daemon stops."""

    media_type = "text/event-stream"

    def __init__(self, hub: EventHub, last_id: str | None, wants: Wants | None) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._hub = hub
        self._last_id = last_id
        self._wants = wants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events. Raises TooMany, Stopping before the response starts."""
        actor = scope["state"]["actor"]
        with self._hub.listening(self._last_id, self._wants) as listener:
            scope["state"]["watching"]()
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            sending = asyncio.ensure_future(_send_all(listener, send, partial(still_valid, actor)))
            gone = asyncio.ensure_future(disconnected(receive))
            await asyncio.wait([sending, gone, listener.dropped], return_when=asyncio.FIRST_COMPLETED)
            if listener.dropped.done():
                log.warning("control.listener_dropped", **await to_thread.run_sync(log_fields, actor))
                await asyncio.wait([sending, gone], timeout=LAST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, gone):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await sending
                return
            # Not closed: a client that does not read would never get the rest.
            scope["state"]["abort"]()
            await disconnected(receive)


@router.get("/events", response_class=EventStream, status_code=HTTPStatus.OK)
async def events(
    context: Context,
    access: CurrentAccess,
    last_event_id: Annotated[
        str | None, Header(description="The id of the last event that you have: the stream resumes after it.")
    ] = None,
) -> EventStream:
    """Server-sent events: run.started, run.progress, run.finished, definition.changed; data is a JSON object.

    In a fleet they are those of all nodes.

    If the events after `Last-Event-ID` are not known any more, the first event is stream.reset. A client that reads
    too slowly gets stream.dropped as its last event. Events of run.progress have no id and are not repeated.
    """
    if context.fleet:
        await to_thread.run_sync(context.fleet.events.watch)
    wants = None if access.everything else VisibleEvents(access, context.schedule)
    return EventStream(context.hub, last_event_id, wants)


@router.get(
    "/metrics",
    response_class=Response,
    responses={HTTPStatus.OK: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(context: Context) -> Response:
    """The daemon's metrics, for Prometheus."""
    return Response(context.metrics(), media_type=METRICS_FORMAT)


async def _send_all(listener: Listener, send: Send, valid: Callable[[], Awaitable[bool]]) -> None:
    event: bytes | None = b""
    while event is not None and await valid():
        await send({"type": "http.response.body", "body": event or HEARTBEAT, "more_body": True})
        event = await listener.get(HEARTBEAT_SECONDS)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def disconnected(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
