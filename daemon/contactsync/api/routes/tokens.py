"""Tokens: list, add, revoke. Only for users of the control socket."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.operations.access import tokens as operations
from contactsync.operations.access.tokens import NewToken, RevokedToken, TokenDocument, TokenRequest
from contactsync.store.pool import connection_of

router = APIRouter(tags=["tokens"])


@router.get("/tokens")
def tokens(context: Context) -> list[TokenDocument]:
    """All tokens, the oldest first, also revoked and expired ones."""
    with context.reading() as connection:
        return operations.list_tokens(connection)


@router.post("/tokens", status_code=HTTPStatus.CREATED)
def add_token(new: TokenRequest, context: Context, actor: CurrentActor) -> NewToken:
    """Add a token for a program on another machine. The answer has its text, for the only time."""
    with connection_of(context.pool) as connection:
        return operations.create_token(connection, new, actor)


@router.delete("/tokens")
def revoke_token(
    name: Annotated[str, Query(max_length=100, examples=["helpdesk"])], context: Context, actor: CurrentActor
) -> RevokedToken:
    """Revoke a token. It is refused within a second."""
    with connection_of(context.pool) as connection:
        return operations.revoke_token(connection, name, actor)
