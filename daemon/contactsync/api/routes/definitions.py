"""Definitions: list, read, add, edit, remove, pause, resume; their passwords."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.actor import CurrentActor
from contactsync.api.context import ApiContext, Context
from contactsync.api.definition_fields import DefinitionChanges, NewPassword
from contactsync.api.schemas import Ref
from contactsync.model import Actor, Definition
from contactsync.operations import definitions as operations
from contactsync.operations.access.edits import require_permitted, require_removable
from contactsync.operations.access.rights import Access
from contactsync.operations.access.visible import visible_definition
from contactsync.operations.declared.fields import NewDefinition
from contactsync.operations.names import Resolved, resolve
from contactsync.operations.reading.definitions import Definitions, State, definitions_page
from contactsync.operations.reading.details import DefinitionDetails, definition_details
from contactsync.store.pool import LONG_READ_SECONDS, connection_of
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["definitions"])

DefinitionId = Annotated[
    int, Path(description="A definition's id; GET /v1/definitions finds it by name.", ge=1, le=LARGEST_ID, examples=[1])
]
Name = Annotated[
    str | None,
    Query(
        description="Only with this name: `Staff`, `anna/Private`, `Staff:branch`. The name of a folder means all of"
        " its definitions.",
        max_length=600,
        examples=["Staff"],
    ),
]
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("/definitions")
def list_definitions(  # noqa: PLR0913 -- one for each filter
    context: Context,
    access: CurrentAccess,
    *,
    name: Name = None,
    owner: Annotated[Text, Query(description="Only of this owner; empty: only of shared folders.")] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    text: Annotated[Text, Query(description="Only with this in label or query, in any case.")] = None,
    after: Annotated[int, Query(description="Only with an id above this.", ge=0, le=LARGEST_ID)] = 0,
    limit: Annotated[int, Query(description="Limit of the items on the page.", ge=1, le=1000)] = 100,
) -> Definitions:
    """Definitions by id, a page at a time."""
    filters = {"owner": owner, "state": state, "text": text}
    with context.reading(LONG_READ_SECONDS) as connection:
        return definitions_page(connection, context.activity, access, name=name, after=after, limit=limit, **filters)


@router.get("/resolve")
def resolve_name(
    context: Context,
    access: CurrentAccess,
    name: Annotated[str, Query(description="As for the list.", max_length=600, examples=["Staff"])],
) -> Resolved:
    """The one definition with this name; an error if there is none, or more than one."""
    with context.reading() as connection:
        return resolve(connection, name, visible=access.covers)


@router.post("/definitions", status_code=HTTPStatus.CREATED)
def add_definition(
    new: NewDefinition, context: Context, actor: CurrentActor, access: CurrentAccess
) -> DefinitionDetails:
    """Add a definition, and its folder if that is new. It runs by its schedule unless `enabled` is false."""
    empty = Definition(folder_id=0, definition_id=0, folder=new.folder)
    definition = new.applied_to(empty)
    require_permitted(access, empty, definition, new_password=new.password is not None)
    with connection_of(context.pool) as connection:
        added = operations.add(connection, context.runner.passwords, definition, new.password_text, actor)
    return _details(context, added.definition_id)


@router.get("/definitions/{definition_id}")
def definition(definition_id: DefinitionId, context: Context, access: CurrentAccess) -> DefinitionDetails:
    """One definition with all its fields, and whether a password is stored."""
    return visible_definition(access, _details(context, definition_id))


@router.patch("/definitions/{definition_id}")
def edit_definition(
    definition_id: DefinitionId,
    changes: DefinitionChanges,
    context: Context,
    actor: CurrentActor,
    access: CurrentAccess,
) -> DefinitionDetails:
    """Edit the fields that are in the request, all or none.

    Other servers, another user or other TLS settings need the password again, in the same request.
    """
    _edit(context, definition_id, changes, actor, access)
    return _details(context, definition_id)


@router.delete("/definitions/{definition_id}")
def remove_definition(
    definition_id: DefinitionId,
    context: Context,
    actor: CurrentActor,
    access: CurrentAccess,
    *,
    keep_contacts: Annotated[bool, Query(description="Keep its contacts as people's own.")] = False,
) -> Ref:
    """Remove a definition with its contacts, and its folder if that is then empty."""
    stored = context.definition(definition_id)
    require_removable(access)
    with connection_of(context.pool) as connection:
        operations.remove(connection, stored, actor, keep_contacts=keep_contacts)
    return ref(stored)


@router.put("/definitions/{definition_id}/password")
def set_password(
    definition_id: DefinitionId, password: NewPassword, context: Context, actor: CurrentActor, access: CurrentAccess
) -> Ref:
    """Store a password, sealed for the definition's servers, user and TLS settings."""
    return ref(_edit(context, definition_id, DefinitionChanges(password=password.password), actor, access))


@router.delete("/definitions/{definition_id}/password")
def clear_password(definition_id: DefinitionId, context: Context, actor: CurrentActor) -> Ref:
    """Remove the stored password, or the reference to one."""
    stored = context.definition(definition_id)
    with connection_of(context.pool) as connection:
        operations.clear_password(connection, stored, actor)
    return ref(stored)


@router.post("/definitions/{definition_id}/pause")
def pause_definition(definition_id: DefinitionId, context: Context, actor: CurrentActor) -> Ref:
    """Stop scheduled and live runs of a definition."""
    return _set_enabled(context, definition_id, actor, enabled=False)


@router.post("/definitions/{definition_id}/resume")
def resume_definition(definition_id: DefinitionId, context: Context, actor: CurrentActor) -> Ref:
    """Start scheduled and live runs again."""
    return _set_enabled(context, definition_id, actor, enabled=True)


def ref(definition: Definition) -> Ref:
    """A definition by its id and its label."""
    return Ref(definition_id=definition.definition_id, label=definition.label)


def _set_enabled(context: ApiContext, definition_id: int, actor: Actor, *, enabled: bool) -> Ref:
    stored = context.definition(definition_id)
    with connection_of(context.pool) as connection:
        operations.set_enabled(connection, [stored], actor, enabled=enabled)
    return ref(stored)


def _edit(
    context: ApiContext, definition_id: int, changes: DefinitionChanges, actor: Actor, access: Access
) -> Definition:
    stored = context.definition(definition_id)
    edited = changes.applied_to(stored)
    require_permitted(access, stored, edited, new_password=changes.password is not None)
    with connection_of(context.pool) as connection:
        operations.edit(connection, context.runner.passwords, stored, edited, changes.password_text, actor)
    return stored


def _details(context: ApiContext, definition_id: int) -> DefinitionDetails:
    with context.reading() as connection:
        return definition_details(connection, definition_id, context.activity, context.settings())
