"""Finds the definitions that a NAME on the command line means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from contactsync.errors import UsageError
from contactsync.store.definitions import read_definitions

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


_SHOWN = 10


def find_one(connection: Connection[Any], name: str) -> Definition:
    """The one definition that this names. Raises UsageError when there is none, or more than one."""
    return choose_one(read_definitions(connection), name)


def find_all(connection: Connection[Any], name: str) -> list[Definition]:
    """The definition that this names, or all of the folder that this names. Raises UsageError as `find_one` does."""
    return choose_all(read_definitions(connection), name)


def choose_one(definitions: Sequence[Definition], name: str) -> Definition:
    """The definition with this label; else the only one that the name can mean without its owner or its folder's."""
    exactly = [definition for definition in definitions if definition.label == name]
    candidates = exactly or next(filter(None, _meanings(definitions, name)), [])
    if len(candidates) > 1:
        raise _ambiguous(name, candidates)
    if not candidates:
        raise _unknown(name, definitions)
    return candidates[0]


def choose_all(definitions: Sequence[Definition], name: str) -> list[Definition]:
    """The definitions of the folder with this name, else the definition with this label."""
    for meaning in _meanings(definitions, name):
        if len({definition.folder_id for definition in meaning}) > 1:
            raise _ambiguous(name, meaning)
        if meaning:
            return meaning
    raise _unknown(name, definitions)


def folder_label(definition: Definition) -> str:
    """The folder without its definition's name: `Staff`, `anna/Private`."""
    return f"{definition.owner}/{definition.folder}" if definition.owner else definition.folder


def _meanings(definitions: Sequence[Definition], name: str) -> Iterable[list[Definition]]:
    """What a name may mean, the most exact meaning first: a whole folder, a definition, either without the owner."""
    tests: tuple[Callable[[Definition], bool], ...] = (
        lambda d: folder_label(d) == name,
        lambda d: name in {d.label, f"{folder_label(d)}:{d.name}"},
        lambda d: name in {d.folder, f"{d.folder}:{d.name}"},
    )
    for test in tests:
        yield [definition for definition in definitions if test(definition)]


def _ambiguous(name: str, candidates: Sequence[Definition]) -> UsageError:
    labels = ", ".join(sorted(definition.label for definition in candidates)[:_SHOWN])
    return UsageError(f'"{name}" may mean {len(candidates)} definitions.', hint=f"Give one of: {labels}.")


def _unknown(name: str, definitions: Sequence[Definition]) -> UsageError:
    message = f'There is no folder or definition named "{name}".'
    if not definitions:
        return UsageError(message, hint="There are none yet; make one with `contactsync folders add`.")
    labels = {definition.label.casefold(): definition.label for definition in definitions}
    near = [labels[match] for match in get_close_matches(name.casefold(), labels, n=3)]
    if near:
        return UsageError(message, hint=f"Did you mean {' or '.join(near)}?")
    return UsageError(message, hint="`contactsync folders list` shows all there are.")
