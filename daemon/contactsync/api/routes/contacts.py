"""Contacts of a folder: search, one with its photo and its history; why a person is in a folder or not."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.context import ApiContext, Context, OneAtATime, TwoSearches
from contactsync.api.hints import CurrentWording, Wording
from contactsync.api.routes.definitions import DefinitionId
from contactsync.api.routes.read import Limit, Text
from contactsync.errors import NotFound
from contactsync.fields import PHOTO_TYPES, photo_type
from contactsync.operations.access.person import PersonAccess
from contactsync.operations.access.rights import Access
from contactsync.operations.access.visible import visible_fields
from contactsync.operations.declared.bodies import Text as Stored
from contactsync.operations.declared.bodies import body_with_example
from contactsync.operations.declared.fields import Password
from contactsync.operations.history import history_of
from contactsync.operations.names import find_by_id
from contactsync.operations.preview import Draft
from contactsync.operations.reading.contacts import (
    ContactEvent,
    ContactHistory,
    Explained,
    explained,
    history_shown,
)
from contactsync.operations.reading.folder_page import DefinitionHead, contacts_page, definition_head
from contactsync.operations.reading.lookup import ContactSummary, FoundContacts, contacts_found
from contactsync.store.pool import LONG_READ_SECONDS, READ_SECONDS
from contactsync.store.record.address_book import read_contact, read_photo
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["contacts"])

FolderId = Annotated[int, Path(ge=1, le=LARGEST_ID, examples=[1])]
ContactId = Annotated[int, Path(ge=1, le=LARGEST_ID, examples=[1])]
_PHOTO_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


class Contacts(BaseModel):
    """Contacts by name; `after` of the next page, or null on the last."""

    contacts: list[ContactSummary]
    next_after: str | None


class FolderContacts(Contacts):
    """The same, with the definition whose folder it is."""

    definition: DefinitionHead


SearchText = Annotated[
    str | None,
    Query(
        description="Only with each of these words in name, email, phone or department, in any case and accent.",
        max_length=200,
        pattern=r"^[^\x00]*$",
    ),
]
AfterName = Annotated[str, Query(description="`next_after` of the page before.", pattern=r"^([0-9]{1,18}:[^\x00]*)?$")]


class Contact(BaseModel):
    """A contact with all its fields."""

    contact_id: int
    folder_id: int
    definition_id: int | None
    updated_at: datetime
    fields: dict[str, Any]
    photo: bool
    photo_digest: str | None = Field(description="BLAKE2b of the photo with 16 bytes, as hexadecimal digits.")


def _seconds_of(text: str | None) -> float:
    """The limit of a page of contacts: a search looks at the whole folder."""
    return LONG_READ_SECONDS if text else READ_SECONDS


@router.get("/contacts")
def contacts_anywhere(
    context: Context,
    access: CurrentAccess,
    mail: Annotated[Text, Query(description="Only with this mail address, in any case.")] = None,
    telephone: Annotated[
        Text, Query(description="Only with this number: `+49 30 123-456`, `004930123456` and `030 123456` are one.")
    ] = None,
    dn: Annotated[str | None, Query(description="Only of this entry.", max_length=4096, pattern=r"^[^\x00]*$")] = None,
    after: Annotated[int, Query(description="Only with an id above this.", ge=0, le=LARGEST_ID)] = 0,
    limit: Limit = 100,
) -> FoundContacts:
    """Contacts of all folders by mail, telephone number or DN, as software for calls asks; by id, a page at a time."""
    with context.reading(LONG_READ_SECONDS) as connection:
        return contacts_found(connection, access, mail=mail, telephone=telephone, dn=dn, after=after, limit=limit)


@router.get("/folders/{folder_id}/contacts", dependencies=[TwoSearches], response_model=Contacts)
def contacts(
    folder_id: FolderId, context: Context, text: SearchText = None, after: AfterName = "", limit: Limit = 100
) -> Response:
    """Contacts of a folder by name, a page at a time."""
    with context.reading(_seconds_of(text)) as connection:
        page = contacts_page(connection, folder_id, text=text, after=after, limit=limit)
    return JSONResponse(page)


@router.get("/definitions/{definition_id}/contacts", dependencies=[TwoSearches], response_model=FolderContacts)
def definition_contacts(
    definition_id: DefinitionId,
    context: Context,
    access: CurrentAccess,
    text: SearchText = None,
    after: AfterName = "",
    limit: Limit = 100,
) -> Response:
    """Contacts of a definition's folder by name, a page at a time, with the state of the definition."""
    with context.reading(_seconds_of(text)) as connection:
        definition = definition_head(connection, access, definition_id)
        page = contacts_page(connection, definition["folder_id"], text=text, after=after, limit=limit)
    definition["running"] = definition_id in context.activity.running
    return JSONResponse({**page, "definition": definition})


@router.get("/folders/{folder_id}/contacts/{contact_id}")
def contact(folder_id: FolderId, contact_id: ContactId, context: Context, access: CurrentAccess) -> Contact:
    """One contact."""
    with context.reading() as connection:
        row = read_contact(connection, folder_id, contact_id)
    if row is None:
        raise _no_contact(contact_id)
    return Contact(**row | {"fields": visible_fields(access, row["fields"])})


@router.get(
    "/folders/{folder_id}/contacts/{contact_id}/photo",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in sorted(PHOTO_TYPES)}}},
)
def photo(folder_id: FolderId, contact_id: ContactId, context: Context) -> Response:
    """The photo of a contact, as the directory has it."""
    with context.reading() as connection:
        octets = read_photo(connection, folder_id, contact_id) or b""
    kind = photo_type(octets)
    if kind is None:
        raise NotFound(f"There is no photo of contact {contact_id} in a known format.")
    return Response(octets, media_type=kind, headers=_PHOTO_HEADERS)


@router.get("/folders/{folder_id}/contacts/{contact_id}/history")
def history(folder_id: FolderId, contact_id: ContactId, context: Context, access: CurrentAccess) -> list[ContactEvent]:
    """What runs and people changed in a contact, oldest first; also of a deleted one."""
    with context.reading() as connection:
        events = history_of(connection, folder_id=folder_id, contact_id=contact_id)
    if not events:
        raise _no_contact(contact_id)
    documents = ContactEvent.of_all(events)
    for document in documents:
        document.fields = visible_fields(access, document.fields)
    return documents


Who = Annotated[
    str,
    Query(
        description="A name, email, uid or DN.",
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*$",
        examples=["anna@example.com"],
    ),
]


class Question(BaseModel):
    """Who is looked for, and the password for it in place of the stored one."""

    model_config = body_with_example(who="anna@example.com")

    who: Annotated[Stored, Field(min_length=1, max_length=500)]
    password: Password | None = None


@router.get("/definitions/{definition_id}/history")
def history_of_person(definition_id: DefinitionId, context: Context, who: Who) -> ContactHistory:
    """What runs and people changed in the contact of a person, oldest first; also in a deleted one."""
    with context.reading(LONG_READ_SECONDS) as connection:
        return history_shown(connection, definition_id, who)


@router.get("/definitions/{definition_id}/explain", dependencies=[OneAtATime])
async def explain_person(
    definition_id: DefinitionId, context: Context, access: CurrentAccess, who: Who, wording: CurrentWording
) -> Explained:
    """Why a person is in a folder or not. The directory is searched for a person who is not."""
    return await _explain(context, access, definition_id, Question(who=who), wording)


@router.post("/definitions/{definition_id}/explain", dependencies=[OneAtATime])
async def explain_with_password(
    definition_id: DefinitionId, question: Question, context: Context, access: CurrentAccess, wording: CurrentWording
) -> Explained:
    """The same with a password that is not stored."""
    return await _explain(context, access, definition_id, question, wording)


async def _explain(
    context: ApiContext, access: Access, definition_id: int, question: Question, wording: Wording
) -> Explained:
    document = await context.read_directory(partial(_explained, context, access, definition_id, question))
    for reason in document.reasons:
        reason.text = wording(reason.text)
    return document


def _explained(context: ApiContext, access: Access, definition_id: int, question: Question) -> Explained:
    typed = question.password.get_secret_value() if question.password else None
    with context.reading(LONG_READ_SECONDS) as connection:
        definition = find_by_id(connection, definition_id)
        if isinstance(access, PersonAccess):
            access.require_own_password(connection, definition, definition, typed=typed is not None)
        draft = Draft(definition, definition, context.runner.passwords, typed)
        return explained(connection, definition, question.who, draft.password, context.runner.options)


def _no_contact(contact_id: int) -> NotFound:
    return NotFound(f"There is no contact {contact_id} in this folder.")
