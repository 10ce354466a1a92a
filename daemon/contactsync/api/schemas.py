"""The documents of the API that only the API has. None holds a password."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from contactsync.operations.fleet import FleetNode
from contactsync.sync.document import RunningDocument, RunResult


class Ref(BaseModel):
    """A definition by its id and its label."""

    definition_id: int
    label: str


class Folder(BaseModel):
    """A contact folder; without an owner it is shared."""

    folder_id: int
    name: str
    owner: str | None
    label: str
    definitions: list[int]
    contacts: int


class Synchronized(BaseModel):
    """The runs; one that could not start is a failed run without an id."""

    runs: list[RunResult]


class Cancelled(BaseModel):
    """The runs that were cancelled; a run that applies its plan already still ends."""

    cancelled: list[int]
    withdrawn: list[Ref] = Field(description="The definitions that waited for a run; it was not started.")


class Folders(BaseModel):
    """Folders by id; `after` of the next page, or null on the last."""

    folders: list[Folder]
    next_after: int | None


class Reloaded(BaseModel):
    """The names of settings that changed, and of those that need a restart. Definitions are read again as well."""

    changed: list[str]
    need_restart: list[str]


class NextRun(Ref):
    """The next scheduled run."""

    at: datetime


class Live(BaseModel):
    """The folders with live updates."""

    listening: int
    not_listening: int = Field(description="Folders that run by schedule only: the daemon cannot listen now.")
    behind_seconds: float = Field(description="Age of the oldest change that no run has read yet.")
    auto_scheduled: int = Field(
        description="Folders of mode auto that run by schedule, because the directory does not report all changes or"
        " there are more than auto_live_folders. They are not part of `not_listening`."
    )


class Status(BaseModel):
    """The state of the daemon. In a fleet, `running`, `waiting`, `next_run` and `live` are those of all nodes."""

    version: str
    pid: int
    started_at: datetime
    ready: bool
    problems: list[str] = Field(description="Why it is not ready.")
    definitions: int
    paused: int
    invalid: int
    workers: int
    running: list[RunningDocument]
    waiting: int = Field(description="Definitions that wait for a worker or for their server.")
    next_run: NextRun | None
    live: Live
    node: str | None = Field(description="The daemon's name in the fleet; null without a fleet.")
    nodes: list[FleetNode] = Field(description="The living nodes of the fleet, at most a second old.")


class Health(BaseModel):
    """Whether the daemon answers, or is ready."""

    status: Literal["ok"]
