"""For the web console: rights in folders, and sign-in codes.

A code is issued to a user of the control socket, and redeemed by the console's process.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.actor import CurrentActor
from contactsync.api.context import ApiContext, Context
from contactsync.api.routes.contacts import FolderId
from contactsync.errors import SignInCodeUnknown
from contactsync.operations.access import folder_rights as operations
from contactsync.operations.access.folder_rights import FolderRight, FolderRights, NewFolderRights, OwnAccess
from contactsync.operations.declared.bodies import body_with_example
from contactsync.store.pool import connection_of

router = APIRouter(tags=["console"])


class NewSignInCode(BaseModel):
    """A code that signs one browser in as an administrator, once."""

    code: str = Field(description="It is shown only now.")
    expires_at: datetime


class SignInCodeRequest(BaseModel):
    """A code to redeem."""

    model_config = body_with_example(code="pX2c")

    code: str = Field(max_length=200)


class RedeemedSignInCode(BaseModel):
    """A code that was valid until now."""

    user: str = Field(description="The user of the daemon's machine who got the code.", examples=["root"])


@router.post("/console/sign-in-codes", status_code=HTTPStatus.CREATED)
def add_sign_in_code(context: Context, actor: CurrentActor) -> NewSignInCode:
    """Issue a code that signs an administrator in at the web console, once, within five minutes."""
    issued = context.sign_in_codes.issue(actor.name)
    return NewSignInCode(code=issued.code, expires_at=issued.expires_at)


@router.post("/console/sign-in-codes/redeem")
def redeem_sign_in_code(given: SignInCodeRequest, context: Context) -> RedeemedSignInCode:
    """Redeem a code. It is for the process of the console."""
    user = context.sign_in_codes.redeem(given.code)
    if user is None:
        raise SignInCodeUnknown(
            "The link is not valid: it was used already, it has expired, or the daemon was restarted.",
            hint="Make a new one on the daemon's machine: contactsync web sign-in",
        )
    return RedeemedSignInCode(user=user)


@router.get("/access")
def own_access(access: CurrentAccess) -> OwnAccess:
    """What the actor of this request may see and do, by folder."""
    return operations.own_access(access)


@router.get("/folders/{folder_id}/rights")
def folder_rights(folder_id: FolderId, context: Context) -> FolderRights:
    """Who may see and who may edit a folder at the web console."""
    with context.reading() as connection:
        return operations.folder_rights(connection, folder_id)


@router.put("/folders/{folder_id}/rights")
def set_folder_rights(folder_id: FolderId, new: NewFolderRights, context: Context, actor: CurrentActor) -> FolderRights:
    """Replace the rights in a folder. They count for the next request of each person."""
    with connection_of(context.pool) as connection:
        rights = operations.set_folder_rights(connection, folder_id, new.rights, actor)
    return _published(context, rights)


@router.post("/folders/{folder_id}/rights")
def give_folder_right(folder_id: FolderId, right: FolderRight, context: Context, actor: CurrentActor) -> FolderRights:
    """Give a person or a group a right in a folder, in place of the one before."""
    with connection_of(context.pool) as connection:
        rights = operations.give_right(connection, folder_id, right, actor)
    return _published(context, rights)


@router.delete("/folders/{folder_id}/rights")
def take_folder_right(
    folder_id: FolderId,
    context: Context,
    actor: CurrentActor,
    who: Annotated[
        str, Query(description="The person or the group.", max_length=256, pattern=r"^[^\x00]*$", examples=["anna"])
    ],
    *,
    is_group: bool = False,
) -> FolderRights:
    """Take the right of a person or a group in a folder away."""
    with connection_of(context.pool) as connection:
        rights = operations.take_right(connection, folder_id, who, actor, is_group=is_group)
    return _published(context, rights)


def _published(context: ApiContext, rights: FolderRights) -> FolderRights:
    context.hub.publish("rights.changed", definition_id=0, folder_id=rights.folder_id)
    return rights
