"""`contactsync tokens ...`: add, list and revoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, ago, show_json, show_text, until

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation

_COLUMNS = ("Name", "State", "May", "For", "Used", "Expires")
_STYLES = {"expired": "yellow", "revoked": "red"}


def add_token(invocation: Invocation, may: str, *, as_json: bool, **fields: Any) -> None:
    """Add a token with these fields of TokenRequest; print only its text. Raises UsageError, DatabaseError."""
    rights = [word.strip() for word in may.split(",") if word.strip()]
    with invocation.api() as api:
        added = api.post("/v1/tokens", {"may": rights, **fields})
    if as_json:
        show_json(invocation.out, added)
        return
    invocation.out.out(added["token"], highlight=False)
    show_text(invocation.err, "Keep it like a password. It cannot be shown again.")


def show_tokens(invocation: Invocation, *, as_json: bool) -> None:
    """Print all tokens. Raises DatabaseError."""
    with invocation.api() as api:
        tokens = api.get("/v1/tokens")
    if as_json:
        show_json(invocation.out, tokens)
    elif tokens:
        show_table(invocation.out, _COLUMNS, list(map(_row, tokens)), styles=_STYLES)
    else:
        show_text(invocation.out, "There are no tokens. Make one with `contactsync tokens add`.")


def revoke_token(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """Revoke a token. Raises NotFound, DatabaseError."""
    with invocation.api() as api:
        revoked = api.delete("/v1/tokens", name=name)
    if as_json:
        show_json(invocation.out, revoked)
    else:
        show_text(invocation.out, f"The token {name} is revoked.")


def _row(token: Mapping[str, Any]) -> list[str]:
    scope = ", ".join([*token["folders"], *(f"{name}/*" for name in token["owners"])])
    expires = NOTHING
    if token["state"] == "valid":
        expires = "never" if token["expires_at"] is None else until(token["expires_at"])
    return [
        token["name"],
        token["state"],
        ", ".join(token["may"]),
        scope or "everything",
        ago(token["last_used_at"]),
        expires,
    ]
