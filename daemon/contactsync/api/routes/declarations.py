"""Definitions as a whole: exported, compared with what is declared, and changed to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.operations.declared.apply import apply_definitions
from contactsync.operations.declared.export import export_definitions
from contactsync.operations.declared.fields import DeclaredDefinition
from contactsync.operations.declared.plan import DefinitionsPlan, compare
from contactsync.store.pool import connection_of

router = APIRouter(tags=["definitions"])

_MOST = 20_000
Name = Annotated[str, Field(max_length=600, examples=["Staff"])]


class Declarations(BaseModel):
    """Whole definitions. Folder, owner and definition identify each; a field that is not there has its default."""

    model_config = ConfigDict(extra="forbid")

    definitions: list[DeclaredDefinition] = Field(max_length=_MOST)
    remove_others: Annotated[bool, Field(description="Remove those that are not here, with contacts.")] = False


class AppliedDeclarations(Declarations):
    """The definitions, and the plan that was looked at."""

    digest: str | None = Field(None, max_length=64, description="Of the plan; with it, no other plan is carried out.")


class Exported(BaseModel):
    """Definitions in the form of a request."""

    definitions: list[DeclaredDefinition]


@router.get("/definitions/export", response_model_exclude_unset=True)
def export(
    context: Context,
    name: Annotated[
        list[Name], Query(description="Only with these names; the name of a folder means all of its definitions.")
    ] = [],  # noqa: B006 -- FastAPI copies it
) -> Exported:
    """Definitions without ids, defaults and passwords, by label."""
    with connection_of(context.pool) as connection:
        return Exported(definitions=export_definitions(connection, name))


@router.post("/definitions/plan")
def plan(declarations: Declarations, context: Context) -> DefinitionsPlan:
    """What `apply` with this request would change. Nothing is changed."""
    with connection_of(context.pool) as connection:
        references = context.runner.passwords.references
        declared, remove_others = declarations.definitions, declarations.remove_others
        return compare(connection, references, declared, remove_others=remove_others).plan


@router.post("/definitions/apply")
def apply(declarations: AppliedDeclarations, context: Context, actor: CurrentActor) -> DefinitionsPlan:
    """Add, edit and remove definitions until they are those of the request: all or none. Returns what was done."""
    with connection_of(context.pool) as connection:
        return apply_definitions(
            connection,
            context.runner.passwords,
            declarations.definitions,
            actor,
            digest=declarations.digest,
            remove_others=declarations.remove_others,
        )
