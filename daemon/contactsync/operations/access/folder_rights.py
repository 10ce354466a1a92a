"""The rights in a folder at the web console: who may see and who may edit it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from contactsync.errors import NotFound, UsageError
from contactsync.ldap.dn import group_key
from contactsync.operations.access.person import PersonAccess, Role
from contactsync.operations.access.rights import Right, folder_label
from contactsync.operations.declared.bodies import Text, body_with_example
from contactsync.store.record.audit import acting, write_audit
from contactsync.store.rights import RightRow, folder_named, lock_rights, replace_rights, rights_of_folder
from contactsync.text import lower, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import Connection

    from contactsync.model import Actor
    from contactsync.operations.access.rights import Access

MOST_RIGHTS = 1000


class FolderRight(BaseModel):
    """A right of a person or a group."""

    model_config = body_with_example(who="anna", right="view")

    who: Annotated[Text, Field(min_length=1, max_length=256)] = Field(
        description="The name that the sign-in gives, in any case; a DN of a group in any spelling.", examples=["anna"]
    )
    is_group: bool = False
    right: Literal["view", "edit"] = Field(description="`edit` includes `view`.")


class NewFolderRights(BaseModel):
    """All rights in a folder, in place of those before."""

    model_config = body_with_example(rights=[{"who": "anna", "right": "edit"}])

    rights: list[FolderRight] = Field(max_length=MOST_RIGHTS)


class FolderRights(BaseModel):
    """Who may see and who may edit a folder at the web console, besides administrators."""

    folder_id: int
    label: str
    owner: str | None = Field(description="The owner of a personal folder, who needs no right.")
    everybody: bool = Field(
        description="Whether all who sign in may see it: a shared folder, as long as no right is `view`."
    )
    rights: list[FolderRight]


class OwnAccess(BaseModel):
    """What the actor of this request may see and do."""

    everything: bool = Field(description="Whether it is all folders; the lists are empty then.")
    administrator: bool
    personal_folders: bool = Field(description="Whether the actor may add folders.")
    mappings: bool = Field(description="Whether the actor may edit the mappings of the folders that it may edit.")
    viewer: list[int] = Field(description="The folders that the actor may only see.")
    editor: list[int] = Field(description="The folders that the actor may edit.")
    owner: list[int] = Field(description="The actor's personal folders.")


def folder_rights(connection: Connection[Any], folder_id: int) -> FolderRights:
    """The rights in a folder. Raises NotFound, DatabaseError."""
    found = folder_named(connection, folder_id)
    if found is None:
        raise NotFound(f"There is no folder {folder_id}.", hint="`contactsync folders list` shows all there are.")
    name, owner = found
    rights = [FolderRight(**asdict(row)) for row in rights_of_folder(connection, folder_id)]
    everybody = owner is None and all(right.right != "view" for right in rights)
    return FolderRights(
        folder_id=folder_id, label=folder_label(owner, name), owner=owner, everybody=everybody, rights=rights
    )


def set_folder_rights(
    connection: Connection[Any], folder_id: int, rights: Sequence[FolderRight], actor: Actor
) -> FolderRights:
    """Replace the rights in a folder. Raises NotFound, UsageError, DatabaseError."""
    return _replace(connection, folder_id, actor, lambda _before: rights)


def give_right(connection: Connection[Any], folder_id: int, right: FolderRight, actor: Actor) -> FolderRights:
    """Give a right in a folder, in place of the one before. Raises NotFound, UsageError, DatabaseError."""

    def added(before: list[FolderRight]) -> list[FolderRight]:
        return [*_without(before, right.who, is_group=right.is_group), right]

    return _replace(connection, folder_id, actor, added)


def take_right(connection: Connection[Any], folder_id: int, who: str, actor: Actor, *, is_group: bool) -> FolderRights:
    """Take the right of a person or a group away. Raises NotFound if there is none, DatabaseError."""

    def removed(before: list[FolderRight]) -> list[FolderRight]:
        left = _without(before, who, is_group=is_group)
        if len(left) == len(before):
            kind = "group" if is_group else "person"
            raise NotFound(f"The {kind} {quoted(who)} has no right in this folder.", hint="Look at its rights.")
        return left

    return _replace(connection, folder_id, actor, removed)


def _replace(
    connection: Connection[Any],
    folder_id: int,
    actor: Actor,
    change: Callable[[list[FolderRight]], Sequence[FolderRight]],
) -> FolderRights:
    with acting(connection, actor):
        lock_rights(connection, folder_id)
        stored = folder_rights(connection, folder_id)
        rights = change(stored.rights)
        _check(rights)
        replace_rights(connection, folder_id, [RightRow(right.who, right.is_group, right.right) for right in rights])
        details = {"before": list(map(_shown, stored.rights)), "after": list(map(_shown, rights))}
        write_audit(connection, "rights.set", key={"folder_id": folder_id}, label=stored.label, after=details)
    return folder_rights(connection, folder_id)


def _without(rights: list[FolderRight], who: str, *, is_group: bool) -> list[FolderRight]:
    return [right for right in rights if _key(right.who, is_group=right.is_group) != _key(who, is_group=is_group)]


def own_access(access: Access) -> OwnAccess:
    """What an actor may see and do; the lists are for people at the web console."""
    if isinstance(access, PersonAccess):
        return OwnAccess(
            everything=False,
            administrator=False,
            personal_folders=access.rules.personal_folders,
            mappings=access.rules.editors_map,
            viewer=sorted(key for key, role in access.roles.items() if role is Role.VIEWER),
            editor=sorted(key for key, role in access.roles.items() if role is Role.EDITOR),
            owner=sorted(key for key, role in access.roles.items() if role is Role.OWNER),
        )
    full = access.local or access.administrator
    return OwnAccess(
        everything=access.everything,
        administrator=full,
        personal_folders=full,
        mappings=Right.EDIT in access.rights,
        viewer=[],
        editor=[],
        owner=[],
    )


def _check(rights: Sequence[FolderRight]) -> None:
    if len(rights) > MOST_RIGHTS:
        raise UsageError(f"A folder has at most {MOST_RIGHTS:,} rights.", hint="Give rights to groups.")
    seen: set[tuple[str, bool]] = set()
    for right in rights:
        key = _key(right.who, is_group=right.is_group)
        if not right.who.isprintable() or right.who != right.who.strip():
            raise UsageError(f"{quoted(right.who)} cannot be the name of a person or group.", hint="Correct the name.")
        if key in seen:
            raise UsageError(f"{quoted(right.who)} is there twice.", hint="Give one right to each person and group.")
        seen.add(key)


def _key(who: str, *, is_group: bool) -> tuple[str, bool]:
    return (group_key(who) if is_group else lower(who), is_group)


def _shown(right: FolderRight) -> str:
    return f"{'group ' if right.is_group else ''}{right.who}: {right.right}"
