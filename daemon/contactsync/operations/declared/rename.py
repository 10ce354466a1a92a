"""Renames folders and definitions by the names that people type (see contactsync.operations.names)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from contactsync.errors import UsageError
from contactsync.operations import definitions
from contactsync.operations.declared.bodies import Text, body_with_example
from contactsync.operations.names import find_all, find_one
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Actor, Definition


class Renaming(BaseModel):
    """A name and a new one. Without an owner, the new name keeps the owner; `/Team` is a shared folder."""

    model_config = body_with_example(name="Staff", new_name="Team")

    name: Text = Field(min_length=1, max_length=600)
    new_name: Text = Field(min_length=1, max_length=600)


class Renamed(BaseModel):
    """The label of a definition before and after; of the first one if a folder was renamed."""

    definition_id: int
    before: str
    after: str


def rename(connection: Connection[Any], passwords: BindPasswords, renaming: Renaming, actor: Actor) -> Renamed:
    """Rename a folder with all its definitions, or with a colon in the new name one definition within its folder.

    Raises NotFound, UsageError if the new name is taken or not possible, DatabaseError.
    """
    left, colon, name = renaming.new_name.partition(":")
    definition = (find_one if colon else _first)(connection, renaming.name)
    owner, slash, folder = left.rpartition("/")
    wanted = replace(definition, folder=folder or definition.folder, owner=owner or None) if slash else definition
    if left and not slash:
        wanted = replace(definition, folder=left)
    if colon:
        if (wanted.folder, wanted.owner) != (definition.folder, definition.owner):
            raise UsageError(
                f"{quoted(definition.label)} cannot move to another folder.",
                hint=f"Rename it within its folder: {definition.folder_label}:{name}.",
            )
        wanted = replace(definition, name=name)
    elif ":" in renaming.name and not renaming.name.startswith("id:"):
        raise UsageError(
            f"{quoted(renaming.name)} is a definition, and {quoted(renaming.new_name)} is the name of a folder.",
            hint=f"Write {definition.folder_label}:NAME for the definition, or give the folder's name first.",
        )
    definitions.edit(connection, passwords, definition, wanted, None, actor)
    return Renamed(definition_id=definition.definition_id, before=definition.label, after=wanted.label)


def _first(connection: Connection[Any], name: str) -> Definition:
    """The first definition of the folder with this name, or the definition with it."""
    return find_all(connection, name)[0]
