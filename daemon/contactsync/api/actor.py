"""Who makes a request. The server that serves the API puts a Requester into `request.state.actor`."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from contactsync import COMMAND_LINE
from contactsync.model import Actor


class Requester(Protocol):
    """Who makes a request. `kind` is how it was identified.

    `unix`: a process, by the kernel; it has `uid` and `pid`. `token`: a program elsewhere; it has `address`. `web`: a
    person at the web console; it has `how` and `address`.
    """

    kind: str

    @property
    def name(self) -> str:
        """The name for `decided_by`, the audit and the log. It may have to be looked up: not for the event loop."""


def log_fields(requester: Any) -> dict[str, Any]:
    """The requester in a line of the log. Not for the event loop."""
    if requester.kind == "unix":
        return {"uid": requester.uid, "pid": requester.pid, "user": requester.name}
    if requester.kind == "web":
        return {"user": requester.name, "how": requester.how, "address": requester.address}
    return {"token": requester.name, "address": requester.address}


def actor_of(request: Request) -> Actor:
    """The actor of a request. Not for the event loop; FastAPI calls it on a thread."""
    requester: Requester = request.state.actor
    # A program elsewhere could send the name of the command line as well.
    by_command = requester.kind == "unix" and request.headers.get("user-agent", "").startswith(COMMAND_LINE)
    if requester.kind == "web":
        return Actor("web", requester.name, "web", getattr(requester, "how", None), getattr(requester, "address", None))
    return Actor(requester.kind, requester.name, "cli" if by_command else "api")


CurrentActor = Annotated[Actor, Depends(actor_of)]
