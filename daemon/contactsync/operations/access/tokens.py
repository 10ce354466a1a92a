"""Adds, lists and revokes tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field

from contactsync.credentials.tokens import digest_of, new_token
from contactsync.errors import NotFound, UsageError
from contactsync.operations.access.rights import Right, folder_label, parse_folder
from contactsync.operations.declared.bodies import body_with_example
from contactsync.store.record.audit import acting, write_audit
from contactsync.store.tokens import add_token, read_tokens, set_revoked
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Actor
    from contactsync.store.tokens import TokenRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_EXPIRES = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=36_500)


class TokenDocument(BaseModel):
    """A token without its text, which is stored nowhere."""

    token_id: int
    name: str
    state: Literal["valid", "expired", "revoked"]
    may: list[Right]
    everything: bool = Field(description="Whether it is for all folders.")
    folders: list[str] = Field(description="Labels of folders; they need not exist yet.")
    owners: list[str] = Field(description="All personal folders of these owners.")
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = Field(description="To a minute.")
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    @classmethod
    def of_row(cls, row: TokenRow) -> Self:
        """The document of a row."""
        state = "valid" if row.valid else "revoked" if row.revoked_at else "expired"
        names = cls.model_fields.keys() - {"state", "may"}
        return cls(state=state, may=list(map(Right, row.rights)), **{name: getattr(row, name) for name in names})


class NewToken(TokenDocument):
    """A token that was just added, with its text, for the only time."""

    token: str = Field(description="Keep it like a password. It cannot be shown again.")


class TokenRequest(BaseModel):
    """A token to add: for some folders and owners, or for everything."""

    model_config = body_with_example(name="helpdesk", may=["read", "sync"], folders=["Staff"], expires="90d")

    name: str
    may: list[str] = Field(description=f"Some of {', '.join(Right)}.")
    folders: list[str] = []
    owners: list[str] = []
    everything: bool = Field(default=False, description="For all folders.")
    expires: str | None = Field(None, description="From now: 12h, 90d, 8w.")


class RevokedToken(BaseModel):
    """The name of the token that was revoked."""

    revoked: str


def create_token(connection: Connection[Any], request: TokenRequest, actor: Actor) -> NewToken:
    """Add a token. Raises UsageError, DatabaseError."""
    may, folders, owners = (list(dict.fromkeys(values)) for values in (request.may, request.folders, request.owners))
    _check(request)
    expires = None if request.expires is None else datetime.now(UTC) + _duration(request.expires)
    text = new_token()
    scope: dict[str, Any] = {"everything": request.everything, "folders": folders, "owners": owners}
    columns = {"name": request.name, "rights": may, "created_by": actor.name, "expires_at": expires, **scope}
    with acting(connection, actor):
        token_id = add_token(connection, digest=digest_of(text), **columns)
        if token_id is None:
            raise UsageError(
                f"There is a token {request.name} already.",
                hint="Choose another name, or revoke it first: `contactsync tokens revoke NAME`.",
            )
        details = {"token": request.name, "may": may, **scope, "expires_at": expires and expires.isoformat()}
        write_audit(connection, "token.added", after=details)
    (row,) = (row for row in read_tokens(connection) if row.token_id == token_id)
    return NewToken(token=text, **TokenDocument.of_row(row).model_dump())


def list_tokens(connection: Connection[Any], *, valid: bool = False) -> list[TokenDocument]:
    """All tokens, the oldest first, or only those that can be used. Raises DatabaseError."""
    return [TokenDocument.of_row(row) for row in read_tokens(connection, valid=valid)]


def revoke_token(connection: Connection[Any], name: str, actor: Actor) -> RevokedToken:
    """Revoke the token with this name. The daemon refuses it within a second. Raises NotFound, DatabaseError."""
    with acting(connection, actor):
        if not _NAME.fullmatch(name) or not set_revoked(connection, name, by=actor.name):
            raise NotFound(
                f"There is no token {quoted(name)} that can be revoked.",
                hint="`contactsync tokens list` shows all there are.",
            )
        write_audit(connection, "token.revoked", after={"token": name})
    return RevokedToken(revoked=name)


def _check(request: TokenRequest) -> None:
    if not _NAME.fullmatch(request.name):
        raise UsageError(
            f"{quoted(request.name)} cannot be the name of a token.",
            hint="A name has 1 to 100 letters, digits, dots, hyphens and underscores; the first is a letter or digit.",
        )
    if not request.may:
        raise UsageError(
            "A token needs a right.", hint=f"Give some of {', '.join(Right)}: on the command line --may read,sync."
        )
    if unknown := [word for word in request.may if word not in set(Right)]:
        raise UsageError(f"{quoted(unknown[0])} is no right.", hint=f"There are: {', '.join(Right)}.")
    if request.everything is bool(request.folders or request.owners):
        raise UsageError(
            "A token is either for some folders or owners, or for everything.",
            hint="On the command line: --folders NAME, --owners NAME, or --everything.",
        )
    for label in request.folders:
        owner, name = parse_folder(label)
        if folder_label(owner, name) != label or not (_is_name(name) and (owner is None or _is_name(owner))):
            raise UsageError(
                f"{quoted(label)} cannot be a folder.", hint="A folder is Staff, or anna/Private if it has an owner."
            )
    for owner in request.owners:
        if not _is_name(owner):
            raise UsageError(f"{quoted(owner)} cannot be an owner.", hint="Give the name without a folder: anna.")


def _is_name(text: str) -> bool:
    """Whether a folder or an owner can have this name; the same rule as for definitions."""
    return text.isprintable() and text == text.strip() and bool(text) and not {"/", ":"} & set(text)


def _duration(text: str) -> timedelta:
    form = _EXPIRES.fullmatch(text)
    duration = int(form[1]) * _UNITS[form[2]] if form else _LONGEST * 2
    if duration > _LONGEST:
        raise UsageError(
            f"{quoted(text)} is no time after which a token expires.", hint="Give hours, days or weeks: 12h, 90d, 8w."
        )
    return duration
