"""Who makes a request. The server that serves the API puts a Requester into `request.state.actor`."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends, Request

from contactsync import COMMAND_LINE
from contactsync.model import Actor


class Requester(Protocol):
    """A user by a program. `kind` is how it was identified: `unix` by the kernel, over a Unix socket."""

    kind: str
    uid: int
    pid: int

    @property
    def name(self) -> str:
        """The name for `decided_by`, the audit and the log. It may have to be looked up: not for the event loop."""


def actor_of(request: Request) -> Actor:
    """The actor of a request. Not for the event loop; FastAPI calls it on a thread."""
    requester: Requester = request.state.actor
    by_command = request.headers.get("user-agent", "").startswith(COMMAND_LINE)
    return Actor(requester.kind, requester.name, "cli" if by_command else "api")


CurrentActor = Annotated[Actor, Depends(actor_of)]
