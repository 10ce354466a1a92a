"""What the control socket can see and move: the daemon's parts, handed over by whoever built them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, NoReturn

from anyio import CapacityLimiter
from fastapi import Depends, Request

from contactsync.api.events import EventHub
from contactsync.api.problems import NotThere
from contactsync.api.schemas import Reloaded
from contactsync.dispatch.dispatcher import Dispatcher
from contactsync.dispatch.live import LiveFolders
from contactsync.dispatch.scheduler import Schedule
from contactsync.model import Definition
from contactsync.store.definitions import read_definitions
from contactsync.store.pool import Pool, connection_of
from contactsync.sync.runner import Runner

MOST_PREVIEWS = 2
"""Previews at once; each reads a whole directory and holds a connection to PostgreSQL."""


@dataclass(frozen=True, kw_only=True)
class ApiContext:
    """The daemon's parts; `problems` says why it cannot do its work, `reload` raises SettingsError."""

    pool: Pool
    runner: Runner
    dispatcher: Dispatcher
    schedule: Schedule
    hub: EventHub
    live: LiveFolders
    workers: int
    started_at: datetime
    problems: Callable[[], list[str]]
    reload: Callable[[], Reloaded]
    metrics: Callable[[], bytes]
    previews: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(MOST_PREVIEWS))

    def find(self, key: str) -> Definition:
        """The definition with this label or id. Raises NotThere, DatabaseError."""
        return self.find_all([key])[0]

    def find_all(self, keys: Iterable[str]) -> list[Definition]:
        """The definitions with these labels or ids, each once. Raises NotThere, DatabaseError."""
        with connection_of(self.pool) as connection:
            definitions = read_definitions(connection)
        by_label = {definition.label: definition for definition in definitions}
        by_id = {str(definition.definition_id): definition for definition in definitions}
        found = [by_label.get(key) or by_id.get(key) or _unknown(key, by_label) for key in keys]
        return list({definition.definition_id: definition for definition in found}.values())


def _unknown(key: str, labels: Iterable[str]) -> NoReturn:
    near = get_close_matches(key, labels, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "GET /v1/definitions lists all there are."
    raise NotThere(f'There is no definition with the label or id "{key}".', hint=hint)


def _controls_of(request: Request) -> ApiContext:
    controls = request.app.state.controls
    assert isinstance(controls, ApiContext)  # noqa: S101  (create_app put it there)
    return controls


Context = Annotated[ApiContext, Depends(_controls_of)]
