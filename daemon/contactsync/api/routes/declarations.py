"""Definitions by their names: exported, compared with what is declared, changed to it, renamed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.operations.declared.apply import apply_definitions
from contactsync.operations.declared.export import export_definitions
from contactsync.operations.declared.fields import AppliedDeclarations, Declarations, Exported
from contactsync.operations.declared.plan import DefinitionsPlan, compare
from contactsync.operations.declared.rename import Renamed, Renaming, rename
from contactsync.store.pool import LONG_READ_SECONDS, connection_of

router = APIRouter(tags=["definitions"])

Name = Annotated[str, Field(max_length=600, examples=["Staff"])]


@router.get("/definitions/export", response_model_exclude_unset=True)
def export(
    context: Context,
    name: Annotated[
        list[Name], Query(description="Only with these names; the name of a folder means all of its definitions.")
    ] = [],  # noqa: B006 -- FastAPI copies it
) -> Exported:
    """Definitions without ids, defaults and passwords, by label."""
    with context.reading(LONG_READ_SECONDS) as connection:
        return Exported(definitions=export_definitions(connection, name))


@router.post("/definitions/plan")
def plan(declarations: Declarations, context: Context) -> DefinitionsPlan:
    """What `apply` with this request would change. Nothing is changed."""
    with connection_of(context.pool) as connection:
        return compare(connection, context.runner.passwords.references, declarations).plan


@router.post("/definitions/apply")
def apply(declarations: AppliedDeclarations, context: Context, actor: CurrentActor) -> DefinitionsPlan:
    """Add, edit and remove definitions until they are those of the request: all or none. Returns what was done."""
    with connection_of(context.pool) as connection:
        return apply_definitions(connection, context.runner.passwords, declarations, actor)


@router.post("/definitions/rename")
def rename_by_name(renaming: Renaming, context: Context, actor: CurrentActor) -> Renamed:
    """Rename a folder, or with a colon in the new name one definition of it."""
    with connection_of(context.pool) as connection:
        return rename(connection, context.runner.passwords, renaming, actor)
