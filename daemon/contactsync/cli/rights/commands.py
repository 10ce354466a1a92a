"""`contactsync folders rights ...`: show, grant and revoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import items
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import show_json, show_text
from contactsync.errors import UsageError

if TYPE_CHECKING:
    from contactsync.cli.api import Api
    from contactsync.cli.context import Invocation

_LONGEST = 256
_COLUMNS = ("Who", "Kind", "May")


def show_rights(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """Print the rights in a folder. Raises NotFound, DatabaseError."""
    with invocation.api() as api:
        document = api.get(_path(api, name))
    _show(invocation, document, as_json=as_json)


def grant_right(invocation: Invocation, name: str, who: str, right: str, *, group: bool, as_json: bool) -> None:
    """Give a right, and print all. Raises NotFound, UsageError, DatabaseError."""
    who = who.strip()
    if not 0 < len(who) <= _LONGEST:
        raise UsageError(f"A name of a person or group has 1 to {_LONGEST} characters.", hint="Correct the name.")
    with invocation.api() as api:
        document = api.post(_path(api, name), {"who": who, "is_group": group, "right": right})
    _show(invocation, document, as_json=as_json)


def revoke_right(invocation: Invocation, name: str, who: str, *, group: bool, as_json: bool) -> None:
    """Take a right away, and print those that are left. Raises NotFound, DatabaseError."""
    with invocation.api() as api:
        document = api.delete(_path(api, name), who=who.strip(), is_group=group)
    _show(invocation, document, as_json=as_json)


def _path(api: Api, name: str) -> str:
    """The path of the rights. All definitions of a folder have the same."""
    (folder_id,) = {row["folder_id"] for row in items(api, "/v1/definitions", "definitions", name=name)}
    return f"/v1/folders/{folder_id}/rights"


def _show(invocation: Invocation, document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(invocation.out, document)
        return
    rows = [(each["who"], "group" if each["is_group"] else "person", each["right"]) for each in document["rights"]]
    if rows:
        show_table(invocation.out, _COLUMNS, rows)
    show_text(invocation.out, _sentence(document))


def _sentence(document: Mapping[str, Any]) -> str:
    label = document["label"]
    if document["owner"]:
        return f"{document['owner']} owns {label} and may edit it."
    if document["everybody"]:
        return f"Everyone who signs in at the web console may view {label}."
    return f"Only these and administrators may view {label}."
