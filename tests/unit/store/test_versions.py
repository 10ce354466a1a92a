"""The comparison of the stored versions of definitions, with that of dictionaries."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from contactsync.store.versions import Versions

STORED = st.dictionaries(st.integers(1, 40), st.integers(1, 3))


def versions(stored: dict[int, int]) -> Versions:
    """The versions as they come from PostgreSQL."""
    return Versions(array("q", sorted(stored)), array("q", [stored[key] for key in sorted(stored)]))


@given(STORED, STORED)
def test_the_definitions_that_differ_are_found(before: dict[int, int], after: dict[int, int]) -> None:
    """New, edited and removed ones, and no others."""
    found = list(versions(before).differing(versions(after)))
    assert found == sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    assert all((key in versions(after)) is (key in after) for key in range(42))
