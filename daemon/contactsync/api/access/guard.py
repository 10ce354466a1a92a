"""Checks right and scope of each request, before its route is called."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from contactsync.api.access.needs import NEEDS, Need, Target
from contactsync.errors import NotFound, SocketOnly
from contactsync.operations.access.rights import LOCAL, Access
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.runs import LARGEST_ID
from contactsync.store.tokens import folders_of

_LONGEST = len(str(LARGEST_ID))
_PATHS = {Target.DEFINITION: "definition", Target.FOLDER: "folder", Target.RUN: "run", Target.REQUEST: "request"}


def access_of(requester: Any) -> Access:
    """What the requester may do. The kernel identifies a user of the control socket, who may do everything."""
    if requester.kind == "unix":
        return LOCAL
    access: Access = requester.access
    return access


async def guard(request: Request) -> Access:
    """What the actor may do, if the route is allowed. Raises Forbidden, NotFound, DatabaseError."""
    access = access_of(request.state.actor)
    if access.local:
        return access
    need: Need | None = NEEDS.get(request.scope["route"].name)
    if need is not None and need.target is Target.CONSOLE and _is_console(request.state.actor):
        return access
    if need is None or need.target is Target.CONSOLE or need.target is Target.SOCKET:
        raise SocketOnly(
            "No token may do this.", hint="Do it on the daemon's machine: on the command line, or over its socket."
        )
    if need.right is not None:
        access.require(need.right)
    if need.target is Target.ALL:
        access.require_everything()
    if need.target in _PATHS and not access.everything:
        kind = _PATHS[need.target]
        check = partial(_require_visible, request.app.state.context.pool, access, kind)
        await run_in_threadpool(check, request.path_params[f"{kind}_id"])
    return access


def _is_console(requester: Any) -> bool:
    """Whether the web console's process asks for itself: a person has a name."""
    return requester.kind == "web" and not requester.name


CurrentAccess = Annotated[Access, Depends(guard)]


def _require_visible(pool: Pool, access: Access, kind: str, text: str) -> None:
    """Raise NotFound, in the same words, for what does not exist and for what is of another scope."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < _LONGEST else 0
    with connection_of(pool) as connection:
        folder_ids = {number} if kind == "folder" else folders_of(connection, kind, number)
        if not folder_ids or not folder_ids <= set(access.folder_ids(connection) or ()):
            raise NotFound(f"There is no {kind} {text}.", hint="The lists show all there are for this token.")
