"""Who makes a request. The server that serves the API puts an Actor into `request.state.actor`."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends, Request


class Actor(Protocol):
    """A user or a program; decisions and the log record it."""

    @property
    def kind(self) -> str:
        """How the actor was identified: `local` by the kernel, over a Unix socket."""

    @property
    def name(self) -> str:
        """The name for people and for `decided_by`. It may have to be looked up: not for the event loop."""

    @property
    def uid(self) -> int:
        """The user id of the process."""

    @property
    def pid(self) -> int:
        """The process id."""


async def _actor_of(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


CurrentActor = Annotated[Actor, Depends(_actor_of)]
