"""Who makes a request. The server that serves the API puts an Actor into `request.state.actor`."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends, Request


class Actor(Protocol):
    """A user by a program. `kind` is how it was identified: `local` by the kernel, over a Unix socket."""

    kind: str
    uid: int
    pid: int

    @property
    def name(self) -> str:
        """The name for `decided_by` and the log. It may have to be looked up: not for the event loop."""


async def _actor_of(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


CurrentActor = Annotated[Actor, Depends(_actor_of)]
