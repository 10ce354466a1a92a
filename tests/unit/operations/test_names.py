"""Names: what each form means, and what is ambiguous."""

from __future__ import annotations

import pytest

from contactsync.errors import UsageError
from contactsync.model import Definition
from contactsync.operations.names import match

DEFINITIONS = [
    Definition(folder_id=1, definition_id=1, folder="Staff"),
    Definition(folder_id=1, definition_id=2, folder="Staff", name="branch"),
    Definition(folder_id=2, definition_id=3, folder="Private", owner="anna"),
    Definition(folder_id=3, definition_id=4, folder="Private", owner="ben"),
    Definition(folder_id=4, definition_id=5, folder="Diary", owner="anna"),
    Definition(folder_id=5, definition_id=6, folder="anna/Private"),
    Definition(folder_id=6, definition_id=7, folder="Staff:branch"),
    Definition(folder_id=7, definition_id=8, folder="3"),
    Definition(folder_id=8, definition_id=9, folder="id", name="1"),
]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("Staff", {1, 2}),
        ("Staff:directory", {1}),
        ("ben/Private", {4}),
        ("Diary", {5}),
        ("3", {8}),
        ("id:3", {3}),
        ("id:1", {1}),
        ("id", {9}),
        ("id:77", set()),
        ("staff", set()),
        ("", set()),
    ],
)
def test_a_name_means_a_folder_or_a_definition(name: str, ids: set[int]) -> None:
    """Case counts; `id:` and a number is never a name, and any other text is never an id."""
    assert {definition.definition_id for definition in match(DEFINITIONS, name)} == ids


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Private", "anna/Private, ben/Private"),
        ("anna/Private", "id:3, id:6"),
        ("Staff:branch", "id:2, id:7"),
    ],
)
def test_a_name_of_several_folders_is_ambiguous(name: str, hint: str) -> None:
    """The error has their labels, or their ids if the labels are equal."""
    with pytest.raises(UsageError, match=f'"{name}" may mean 2 definitions') as caught:
        match(DEFINITIONS, name)
    assert caught.value.hint == f"Give one of: {hint}."
