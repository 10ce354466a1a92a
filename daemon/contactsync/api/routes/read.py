"""Read status, folders, settings and health."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query

from contactsync import __version__
from contactsync.api.access.guard import CurrentAccess
from contactsync.api.context import ApiContext, Context
from contactsync.api.other_nodes import other_nodes
from contactsync.api.schemas import (
    Folder,
    Folders,
    Health,
    Live,
    NextRun,
    Status,
)
from contactsync.errors import NotReady
from contactsync.fleet.live_states import together
from contactsync.operations.reading.certificates import Certificates, certificates
from contactsync.operations.reading.statistics import States, states
from contactsync.operations.reading.status import Installation, installation
from contactsync.settings.in_force import SettingInForce, settings_in_force
from contactsync.store.health import read_folders
from contactsync.store.pool import LONG_READ_SECONDS
from contactsync.store.record.runs import LARGEST_ID
from contactsync.sync.document import RunningDocument

router = APIRouter(tags=["read"])

RunId = Annotated[int, Path(description="A run's id.", ge=1, le=LARGEST_ID, examples=[1])]
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]
Limit = Annotated[int, Query(description="Limit of the items on the page.", ge=1, le=1000)]


@router.get("/status")
def status(context: Context) -> Status:
    """The state of the daemon."""
    followed = context.schedule.followed
    problems = context.problems()
    others = other_nodes(context)
    return Status(
        version=__version__,
        pid=os.getpid(),
        started_at=context.started_at,
        ready=not problems,
        problems=problems,
        definitions=len(followed),
        paused=sum(not each.enabled for each in followed),
        invalid=sum(each.reason is not None for each in followed),
        workers=context.settings().scheduler.workers,
        running=[
            *map(RunningDocument.of, context.runner.active()),
            *(RunningDocument.of_row(row, further_attempt=None) for row in others.running),
        ],
        waiting=context.dispatcher.waiting,
        next_run=_next_run(context) or others.next_run,
        live=Live(**asdict(together(context.live.snapshot, others.live))),
        node=context.fleet.node.identity.name if context.fleet else None,
        nodes=others.nodes,
    )


@router.get("/installation")
def installation_status(context: Context) -> Installation:
    """The database, the folders and the last runs: with the status, what `contactsync status` shows."""
    with context.reading(LONG_READ_SECONDS) as connection:
        return installation(connection, context.settings())


@router.get("/folders")
def folders(
    context: Context,
    access: CurrentAccess,
    owner: Annotated[Text, Query(description="Only of this owner; empty: only shared ones.")] = None,
    text: Annotated[Text, Query(description="Only with this in the name, in any case.")] = None,
    after: Annotated[int, Query(description="Only with an id above this.", ge=0, le=LARGEST_ID)] = 0,
    limit: Limit = 100,
) -> Folders:
    """Folders by id, a page at a time."""
    with context.reading(LONG_READ_SECONDS) as connection:
        scope = access.folder_ids(connection)
        rows = read_folders(connection, scope, owner=owner, text=text, after=after, limit=limit)
    page = [Folder(**row) for row in rows]
    return Folders(folders=page, next_after=page[-1].folder_id if len(page) == limit else None)


@router.get("/states")
def definition_states(context: Context, access: CurrentAccess) -> States:
    """The number of definitions in each state."""
    with context.reading(LONG_READ_SECONDS) as connection:
        return states(connection, access)


@router.get("/settings")
def settings(context: Context) -> list[SettingInForce]:
    """The settings in force, each with where it comes from; a secret is only `set` or `not set`."""
    return settings_in_force(context.settings())


@router.get("/certificates")
def certificates_in_use(context: Context) -> Certificates:
    """The certificates that the settings and the definitions name, and when they expire."""
    with context.reading() as connection:
        return certificates(connection, context.settings())


@router.get("/health/live")
def alive() -> Health:
    """Whether the daemon answers."""
    return Health(status="ok")


@router.get("/health/ready")
def ready(context: Context) -> Health:
    """Whether the daemon is ready; else 503 with the reasons."""
    problems = context.problems()
    if problems:
        raise NotReady(" ".join(problems), hint="The log says more.")
    return Health(status="ok")


def _next_run(context: ApiContext) -> NextRun | None:
    due = context.schedule.first_due()
    if due is None:
        return None
    return NextRun(definition_id=due[0].definition_id, label=due[0].label, at=due[1])
