"""The one resolver of names, for the command line, the API and requests from SQL.

    Staff           the shared folder; as one definition: the one that is named like its folder
    anna/Private    the personal folder
    Staff:branch    a definition of the folder by its own name
    Private         without the owner, if no other folder has this name
    id:12           the definition with this id

A text that begins with `id:` and a number is never a name, and no other text is ever an id.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from contactsync.errors import NotFound, UsageError
from contactsync.store.definitions import read_definitions
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition, NamedDefinition

_ID = re.compile(r"id:([0-9]{1,18})")
_SHOWN = 10
Named = TypeVar("Named", bound="NamedDefinition")
Visible = Callable[["Definition"], bool]
"""Whether a definition exists for the actor."""


def _every(_definition: Definition) -> bool:
    return True


class Resolved(BaseModel):
    """The definition that a name means."""

    definition_id: int
    folder_id: int
    label: str


def resolve(connection: Connection[Any], name: str, *, visible: Visible = _every) -> Resolved:
    """The ids and the label of the one definition with this name. Raises as `find_one` does."""
    definition = find_one(connection, name, visible=visible)
    return Resolved(**definition.key, label=definition.label)


def ids_of(
    connection: Connection[Any], *, name: str | None, definition_id: int | None, visible: Visible = _every
) -> list[int] | None:
    """The ids of the definitions with this name or this id; None for neither, which is all. Raises as `find_all`."""
    if definition_id is not None:
        return [definition_id]
    return (
        None
        if name is None
        else [definition.definition_id for definition in find_all(connection, name, visible=visible)]
    )


def find_one(connection: Connection[Any], name: str, *, visible: Visible = _every) -> Definition:
    """The one definition with this name. Raises NotFound, UsageError if there are several, DatabaseError.

    Definitions that are not `visible` do not exist, here and in the other functions.
    """
    definitions = find_all(connection, name, visible=visible)
    candidates = [definition for definition in definitions if definition.label == name] or definitions
    if len(candidates) > 1:
        raise _ambiguous(name, candidates)
    return candidates[0]


def find_all(connection: Connection[Any], name: str, *, visible: Visible = _every) -> list[Definition]:
    """The definition with this name, or all of the folder with this name. Raises as `find_one` does."""
    number = _ID.fullmatch(name)
    if number:
        candidates = read_definitions(connection, [int(number[1])])
    else:  # PostgreSQL's text has no NUL
        candidates = read_definitions(connection, name=name) if "\0" not in name else []
    definitions = match([candidate for candidate in candidates if visible(candidate)], name)
    if not definitions:
        raise _not_found(name, [definition for definition in read_definitions(connection) if visible(definition)])
    return definitions


def find_by_id(connection: Connection[Any], definition_id: int, *, visible: Visible = _every) -> Definition:
    """The definition with this id. Raises NotFound, DatabaseError."""
    for definition in read_definitions(connection, [definition_id]):
        if visible(definition):
            return definition
    raise no_definition(definition_id)


def no_definition(definition_id: int) -> NotFound:
    """The error for an id that no definition has."""
    return NotFound(f"There is no definition {definition_id}.", hint="`contactsync folders list` shows all there are.")


def match(definitions: Sequence[Named], name: str) -> list[Named]:
    """Those of the definitions that have this name, all of one folder. Raises UsageError if they are of several."""
    if number := _ID.fullmatch(name):
        return [definition for definition in definitions if definition.definition_id == int(number[1])]
    exact = [d for d in definitions if name in {d.folder_label, d.label, f"{d.folder_label}:{d.name}"}]
    matches = exact or [d for d in definitions if name in {d.folder, f"{d.folder}:{d.name}"}]
    if len({definition.folder_id for definition in matches}) > 1:
        raise _ambiguous(name, matches)
    return matches


def _ambiguous(name: str, candidates: Sequence[NamedDefinition]) -> UsageError:
    labels = Counter(definition.label for definition in candidates)
    names = sorted(d.label if labels[d.label] == 1 else f"id:{d.definition_id}" for d in candidates)
    return UsageError(
        f"{quoted(name)} may mean {len(candidates)} definitions.", hint=f"Give one of: {', '.join(names[:_SHOWN])}."
    )


def _not_found(name: str, definitions: Sequence[Definition]) -> NotFound:
    message = f"There is no folder or definition named {quoted(name)}."
    if not definitions:
        return NotFound(message, hint="There are none yet; make one with `contactsync folders add`.")
    labels = {definition.label.casefold(): definition.label for definition in definitions}
    near = [labels[match] for match in get_close_matches(name.casefold(), labels, n=3)]
    if near:
        return NotFound(message, hint=f"Did you mean {' or '.join(near)}?")
    return NotFound(message, hint="`contactsync folders list` shows all there are.")
