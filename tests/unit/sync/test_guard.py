"""Which plans the guard holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contactsync.model import Plan
from contactsync.settings.schema import Guard
from contactsync.sync.guard.rules import (
    ClearedField,
    enough_contacts,
    enough_filled,
    reason_for_cleared,
    reason_to_hold,
)

LIMITS = Guard(delete_count=500, delete_share=0.2, always_allow=5)


def held(plan: Plan, limits: Guard = LIMITS, **facts: Any) -> str:
    """The reason to hold, or an empty text."""
    return reason_to_hold(plan, limits, **{"entries": 900, "source_edited": False} | facts) or ""


def test_a_plan_without_deletions_is_applied() -> None:
    """However many inserts and updates it has, and whatever was edited or deleted before."""
    plan = Plan(inserts=100_000, updates=50_000, contacts=50_000)
    assert not held(plan, source_edited=True, lately=500)


def test_an_empty_directory_holds_the_plan() -> None:
    """It is more likely to be an outage, also for a small folder."""
    assert "no entries at all" in held(Plan(deletes=3, contacts=3), entries=0)
    assert "none of which can be a contact" in held(Plan(deletes=3, contacts=3, rejected=1), entries=1)


def test_a_folder_of_which_no_contact_stays_holds_the_plan() -> None:
    """However many new ones come: it may be another directory.

    The limits decide where a folder may be empty, or has one contact, such as the person on duty.
    """
    assert "none of the folder's contacts" in held(Plan(deletes=3, contacts=3, inserts=1), entries=1)
    assert held(Plan(deletes=3, contacts=3, inserts=3), entries=3)
    assert not held(Plan(deletes=2, contacts=3, inserts=3), entries=3)
    assert not held(Plan(deletes=1, contacts=1, inserts=1), entries=1)
    assert not held(Plan(deletes=3, contacts=3, inserts=3), entries=3, allow_empty=True)
    assert "the limit is 20%" in held(Plan(deletes=6, contacts=6, inserts=3), entries=3, allow_empty=True)


def test_an_empty_directory_may_be_allowed() -> None:
    """With allow_empty the other limits do not count either."""
    limits = Guard(delete_count=1, delete_share=0.01, always_allow=0)
    assert not held(Plan(deletes=1000, contacts=1000), limits, entries=0, allow_empty=True)


def test_a_deletion_after_an_edit_of_the_query_holds_the_plan() -> None:
    """One is enough: another query is likely to find other people."""
    assert "query was edited" in held(Plan(deletes=1, contacts=1000), source_edited=True)


@pytest.mark.parametrize(
    ("deletes", "contacts", "words"),
    [
        (500, 100_000, []),
        (501, 100_000, ["501", "the limit is 500"]),
        (20, 100, []),
        (21, 100, ["the limit is 20%"]),
        (2, 4, []),
        (5, 6, []),
        (5, 5, ["none of which"]),
        (6, 7, ["the limit is 20%"]),
        (6, None, ["6 of 0 contacts"]),
    ],
    ids=[
        "count",
        "above the count",
        "share",
        "above the share",
        "small folder",
        "one contact stays",
        "none stays",
        "above always_allow",
        "unknown number of contacts",
    ],
)
def test_the_limits_are_inclusive(deletes: int, contacts: int | None, words: list[str]) -> None:
    """Half of a small folder may go, and a reason names the numbers."""
    reason = held(Plan(deletes=deletes, contacts=contacts))
    assert bool(reason) is bool(words)
    assert all(word in reason for word in words)


@pytest.mark.parametrize(
    ("deletes", "lately", "contacts", "passes"),
    [(1, 19, 81, True), (1, 20, 80, False), (1, 499, 100_000, True), (1, 500, 100_000, False), (1, 4, 6, True)],
)
def test_the_deletions_of_incremental_runs_add_up(deletes: int, lately: int, contacts: int, *, passes: bool) -> None:
    """Together they have the limits of one run, of the contacts before the first deletion."""
    reason = held(Plan(deletes=deletes, contacts=contacts), lately=lately)
    assert (not reason) is passes
    assert passes or f"after {lately} in the last 24 hours" in reason


@given(
    contacts=st.integers(1, 3000),
    part=st.floats(0, 1),
    lately=st.integers(0, 900),
    share=st.sampled_from([0.0, 0.001, 0.1, 0.2, 1 / 3, 0.5, 0.999, 1.0]),
    empty=st.booleans(),
    edited=st.booleans(),
)
@example(contacts=81, part=1 / 81, lately=19, share=0.2, empty=False, edited=False)
@example(contacts=80, part=1 / 80, lately=20, share=0.2, empty=False, edited=False)
@example(contacts=20, part=1.0, lately=0, share=1.0, empty=False, edited=False)
@example(contacts=6, part=1.0, lately=0, share=0.2, empty=True, edited=False)
def test_counting_enough_contacts_gives_the_same_decision(
    contacts: int, part: float, lately: int, share: float, *, empty: bool, edited: bool
) -> None:
    """The time of an incremental run must not depend on the size of its folder."""
    deletes = max(1, round(contacts * part))
    limits = Guard(delete_count=1000, delete_share=share, always_allow=5)
    enough = enough_contacts(Plan(deletes=deletes), limits, lately=lately)
    facts = {"entries": None, "source_edited": edited, "allow_empty": empty, "lately": lately}
    decisions = {
        bool(held(Plan(deletes=deletes, contacts=number), limits, **facts))
        for number in (contacts, contacts if enough is None else min(contacts, enough))
    }
    assert len(decisions) == 1


@pytest.mark.parametrize(
    ("contacts", "filled", "share", "passes"),
    [(5, 5, 0.2, True), (6, 6, 0.2, False), (20, 100, 0.2, True), (21, 100, 0.2, False), (6, 100_000, 0.0, False)],
    ids=["always_allow", "above always_allow", "share", "above the share", "share of 0"],
)
def test_the_limits_of_a_cleared_field_are_inclusive(contacts: int, filled: int, share: float, *, passes: bool) -> None:
    """A field has no absolute limit: in a large folder 500 people may lose it."""
    field = ClearedField("title", contacts, filled)
    assert field.exceeds(Guard(delete_share=share)) is not passes
    assert not ClearedField("title", 19_000, 100_000).exceeds(Guard())


@given(contacts=st.integers(1, 500), more=st.integers(0, 5000), share=st.sampled_from([0.0, 0.001, 0.2, 1 / 3, 1.0]))
def test_counting_enough_filled_contacts_gives_the_same_decision(contacts: int, more: int, share: float) -> None:
    """As for deletions."""
    limits = Guard(delete_share=share)
    filled = contacts + more
    enough = enough_filled(contacts, limits)
    counted = filled if enough is None else min(filled, enough)
    decisions = {ClearedField("title", contacts, number).exceeds(limits) for number in (filled, counted)}
    assert len(decisions) == 1


def test_a_reason_names_three_cleared_fields() -> None:
    """And how many more there are."""
    fields = [ClearedField(name, 8, 10) for name in ("city", "title", "street", "notes", "office")]
    reason = reason_for_cleared(fields, LIMITS)
    assert reason.startswith(
        "city would be cleared in 8 of the 10 contacts that have it, title in 8 of 10, street in 8"
    )
    assert ", 2 more fields; the limit is 20%" in reason
