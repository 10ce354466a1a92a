"""Checks right and scope of each request, before its route is called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from contactsync.api.access.needs import NEEDS, Need, Target
from contactsync.errors import NotFound, SocketOnly
from contactsync.operations.access.person import PersonAccess, Role, person_access, role_missing
from contactsync.operations.access.rights import LOCAL, Access, Right
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.runs import LARGEST_ID
from contactsync.store.tokens import folders_of

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.api.access.console import WebUser
    from contactsync.api.context import ApiContext

_LONGEST = len(str(LARGEST_ID))
_PATHS = {Target.DEFINITION: "definition", Target.FOLDER: "folder", Target.RUN: "run", Target.REQUEST: "request"}


async def guard(request: Request) -> Access:
    """What the actor may do, if the route is allowed. Raises Forbidden, NotFound, DatabaseError."""
    requester = request.state.actor
    if requester.kind == "unix":  # the kernel identifies a user of the control socket
        return LOCAL
    need: Need | None = NEEDS.get(request.scope["route"].name)
    if requester.kind == "web":
        return await _access_of_person(request, requester, need)
    access: Access = requester.access
    if need is None or need.target in {Target.SOCKET, Target.CONSOLE}:
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


async def _access_of_person(request: Request, user: WebUser, need: Need | None) -> Access:
    if need is not None and need.target is Target.CONSOLE and not user.name:
        return Access(rights=frozenset())  # the console's process asks for itself
    if need is None or need.role is None:
        raise SocketOnly("The web console may not do this.", hint="Use the command line on the daemon's machine.")
    if user.admin:
        return Access(rights=frozenset(Right), everything=True, administrator=True)
    if need.role is Role.ADMINISTRATOR:
        raise role_missing(need.role)
    return await run_in_threadpool(_roles, request, user, need, need.role)


def _roles(request: Request, user: WebUser, need: Need, role: Role) -> Access:
    context: ApiContext = request.app.state.context
    rules = context.settings().web
    if need.target is Target.DAEMON or role is Role.ANYONE:
        return PersonAccess(rights=frozenset(), name=user.name, rules=rules, needed=role, roles={})
    with connection_of(context.pool) as connection:
        person = partial(person_access, connection, user.name, user.groups, rules, needed=role)
        if need.target not in _PATHS:
            return person(visible=Role.VIEWER if need.target is Target.BODY else None)
        kind = _PATHS[need.target]
        text = request.path_params[f"{kind}_id"]
        try:
            return person(folder_ids=_folders_in_path(connection, kind, text))
        except NotFound:
            raise NotFound(f"There is no {kind} {text}.", hint="The lists show all that you may see.") from None


CurrentAccess = Annotated[Access, Depends(guard)]


def _require_visible(pool: Pool, access: Access, kind: str, text: str) -> None:
    """Raise NotFound, in the same words, for what does not exist and for what is of another scope."""
    with connection_of(pool) as connection:
        folder_ids = _folders_in_path(connection, kind, text)
        if not folder_ids or not folder_ids <= set(access.folder_ids(connection) or ()):
            raise NotFound(f"There is no {kind} {text}.", hint="The lists show all there are for this token.")


def _folders_in_path(connection: Connection[Any], kind: str, text: str) -> set[int]:
    """The folders of what a path names; empty if it is no number, or if there is none."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < _LONGEST else 0
    return {number} if kind == "folder" else folders_of(connection, kind, number)
