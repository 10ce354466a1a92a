"""Check, preview, sample and browse: settings that are stored, and settings that are not."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from secrets import randbelow
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, TypeAdapter

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.context import ApiContext, Context, OneAtATime
from contactsync.api.definition_fields import DefinitionChanges
from contactsync.api.hints import CurrentWording
from contactsync.api.routes.definitions import DefinitionId
from contactsync.checks.document import CheckDocument
from contactsync.errors import UsageError
from contactsync.model import Definition
from contactsync.operations.access.edits import require_permitted
from contactsync.operations.access.person import PersonAccess
from contactsync.operations.access.rights import Access
from contactsync.operations.declared.bodies import Text, body_with_example
from contactsync.operations.definitions import require_password
from contactsync.operations.fields import require_valid_fields
from contactsync.operations.preview import Draft, PreviewDocument
from contactsync.operations.reading.mapping import MappingParts, SampleDocument, SampleEntry, mapping_parts
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["drafts"])

Changes = Annotated[int, Query(description="Limit of the changes in the answer.", ge=0, le=10_000)]
_NEW_IDS = 2**31 - 1


class DraftRequest(DefinitionChanges):
    """Fields that are not stored: of a new definition, or changes of the one with `definition_id`."""

    model_config = body_with_example(
        query="ldaps://dc1.example.com",
        user="reader@example.com",
        password="a long password",  # noqa: S106 -- an example
    )

    definition_id: int | None = Field(None, ge=1, le=LARGEST_ID)

    def draft(self, context: ApiContext, access: Access) -> Draft:
        """The draft.

        Raises NotFound, UsageError without a query, InvalidFields if the password is needed again, Forbidden.
        """
        fields = self.model_dump(include=set(DefinitionChanges.model_fields), exclude_unset=True)
        changes = DefinitionChanges.model_validate(fields)
        if self.definition_id is None:
            if not self.query:
                raise UsageError("There is no query.", hint="Give one, or the definition_id of a stored definition.")
            # No stored definition has this id, so that nothing is compared with and nothing is locked.
            stored = Definition(folder_id=0, definition_id=-1 - randbelow(_NEW_IDS), folder="(new)")
        else:
            stored = context.definition(self.definition_id, access)
        edited = changes.applied_to(stored)
        require_permitted(access, stored, edited, new_password=self.password is not None, saved=False)
        if self.definition_id is not None and self.password_text is None:
            require_password(stored, edited)
        return Draft(stored, edited, context.runner.passwords, self.password_text)


class BrowseRequest(DraftRequest):
    """A directory to browse, and where."""

    model_config = body_with_example(query="ldaps://dc1.example.com", at="dc=example,dc=com")

    at: Annotated[Text, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="The children of this entry; null for those of each naming context."
    )
    limit: int = Field(100, ge=1, le=10_000)


class SampleRequest(DraftRequest):
    """Settings whose first entries are shown."""

    model_config = body_with_example(query="ldaps://dc1.example.com", mapping={"fields": {"notes": "info"}})

    limit: int = Field(5, ge=1, le=50)


class Node(BaseModel):
    """An entry of the directory."""

    dn: str
    rdn: str
    object_class: str
    below: int | None = Field(description="The number of its children; null if unknown.")
    at_least: bool = Field(description="Whether there may be more than `below`.")
    contact: str | None = Field(description="The contact that it becomes.")


class Above(BaseModel):
    """An entry above the one that is browsed."""

    dn: str
    rdn: str = Field(description="The whole DN for a naming context.")


class Level(BaseModel):
    """An entry and its children; `more` if not all were read."""

    base: str
    nodes: list[Node]
    more: bool
    above: list[Above] = Field(description="From the naming context down to the parent.")
    references: int = Field(description="How many references to other servers there are; they are not followed.")


class Browsed(BaseModel):
    """One level of a directory, or one for each naming context."""

    server: str
    levels: list[Level]
    others: list[str]


@router.post("/check", dependencies=[OneAtATime])
async def check_draft(
    request: DraftRequest, context: Context, access: CurrentAccess, wording: CurrentWording
) -> CheckDocument:
    """Check settings step by step, also settings that are not stored. Changes nothing."""
    document = await context.read_directory(partial(_check, request, context, access))
    for step in document.steps:
        step.hint = wording(step.hint)
    return document


@router.post("/preview", dependencies=[OneAtATime])
async def preview_draft(
    request: DraftRequest, context: Context, access: CurrentAccess, limit: Changes = 100
) -> PreviewDocument:
    """What a run with these settings would change, of a stored definition or of a new one. Changes nothing."""
    return await context.read_directory(partial(_preview, request, context, access, limit))


@router.post("/browse", dependencies=[OneAtATime])
async def browse_directory(request: BrowseRequest, context: Context, access: CurrentAccess) -> Browsed:
    """One level of a directory, to find a base."""
    return await context.read_directory(partial(_browse, request, context, access))


@router.get("/mapping")
def parts_of_mappings() -> MappingParts:
    """The parts of a mapping, for a form: fields, presets with their sources, switches, policies."""
    return mapping_parts()


@router.post("/sample", dependencies=[OneAtATime])
async def sample_draft(request: SampleRequest, context: Context, access: CurrentAccess) -> SampleDocument:
    """The first entries that these settings select, as contacts. Changes nothing."""
    return await context.read_directory(partial(_sample, request, context, access))


@router.post("/definitions/{definition_id}/preview", dependencies=[OneAtATime])
async def preview_definition(
    definition_id: DefinitionId, context: Context, access: CurrentAccess, limit: Changes = 100
) -> PreviewDocument:
    """What a run would change now, and whether it would be held. Nothing is changed."""
    request = DraftRequest(definition_id=definition_id)
    return await context.read_directory(partial(_preview, request, context, access, limit))


def _check(request: DraftRequest, context: ApiContext, access: Access) -> CheckDocument:
    from contactsync.checks.check import check  # noqa: PLC0415 -- it loads cryptography, 8 MB

    draft = request.draft(context, access)
    stored = request.definition_id is not None
    preview = partial(_planned, draft, context) if stored else None
    results = check(draft.definition, draft.password, context.runner.options, preview=preview)
    return CheckDocument.of(draft.label if stored else None, list(results))


def _planned(draft: Draft, context: ApiContext) -> Any:
    return draft.preview(context.runner, limit=0).report


def _preview(request: DraftRequest, context: ApiContext, access: Access, limit: int) -> PreviewDocument:
    draft = request.draft(context, access)
    if request.model_fields_set - {"definition_id"}:
        _require_valid(draft)
    return PreviewDocument.of_preview(draft.preview(context.runner, limit=limit))


def _browse(request: BrowseRequest, context: ApiContext, access: Access) -> Browsed:
    from contactsync.checks.browser import browse  # noqa: PLC0415 -- as above

    draft = request.draft(context, access)
    if isinstance(access, PersonAccess):
        with connection_of(context.pool) as connection:
            access.require_own_password(connection, draft.stored, draft.definition, typed=draft.typed is not None)
    view = browse(draft.definition, draft.password, context.runner.options, base=request.at, limit=request.limit)
    return TypeAdapter(Browsed).validate_python(asdict(view))


def _sample(request: SampleRequest, context: ApiContext, access: Access) -> SampleDocument:
    from contactsync.checks.sampler import sample  # noqa: PLC0415 -- it loads what only few requests need

    draft = request.draft(context, access)
    _require_valid(draft)
    found = sample(draft.definition, draft.password, context.runner.options, limit=request.limit)
    return SampleDocument(
        server=found.server,
        active_directory=found.active_directory,
        entries=[SampleEntry.of(found.mapping, entry) for entry in found.entries],
        more=found.more,
    )


def _require_valid(draft: Draft) -> None:
    new_password = draft.typed is not None
    require_valid_fields(draft.definition, draft.passwords.references, draft.stored, new_password=new_password)
