"""What the guard holds and what it lets pass."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contactsync.model import Plan
from contactsync.settings.schema import Guard
from contactsync.sync.guard import enough_contacts, reason_to_hold

LIMITS = Guard(delete_count=500, delete_share=0.2, always_allow=5)


def held(
    plan: Plan,
    *,
    entries: int | None = 900,
    source_edited: bool = False,
    allow_empty: bool = False,
    limits: Guard = LIMITS,
    lately: int = 0,
) -> str:
    """Give the reason to hold, or an empty text."""
    reason = reason_to_hold(
        plan, limits, entries=entries, source_edited=source_edited, allow_empty=allow_empty, lately=lately
    )
    return reason or ""


def test_a_plan_without_deletions_passes() -> None:
    """Inserts and updates are never held, however many, and whatever was edited."""
    assert not held(Plan(inserts=100_000, updates=50_000, contacts=50_000), source_edited=True)


def test_an_emptied_source_is_held() -> None:
    """No entries at all are taken for an outage, even where the folder is small."""
    assert "no entries at all" in held(Plan(deletes=3, contacts=3), entries=0)


def test_an_emptied_source_passes_where_the_definition_allows_it() -> None:
    """allow_empty means just that, and the other limits do not take it back."""
    limits = Guard(delete_count=1, delete_share=0.01, always_allow=0)
    assert not held(Plan(deletes=1000, contacts=1000), entries=0, allow_empty=True, limits=limits)


def test_deletions_after_an_edited_query_are_held() -> None:
    """One deletion is enough: another query is likely to mean other people."""
    assert "query was edited" in held(Plan(deletes=1, contacts=1000), source_edited=True)


@pytest.mark.parametrize(("deletes", "passes"), [(500, True), (501, False)])
def test_the_limit_by_count_is_inclusive(deletes: int, *, passes: bool) -> None:
    """As many as the limit pass, one more is held with both numbers in the reason."""
    reason = held(Plan(deletes=deletes, contacts=100_000))
    assert (not reason) is passes
    if not passes:
        assert "501" in reason
        assert "500" in reason


@pytest.mark.parametrize(("deletes", "passes"), [(20, True), (21, False)])
def test_the_limit_by_share_is_inclusive(deletes: int, *, passes: bool) -> None:
    """A fifth of a folder passes, more is held."""
    assert (not held(Plan(deletes=deletes, contacts=100))) is passes


def test_a_small_folder_may_lose_a_few_contacts() -> None:
    """Two of four contacts are half the folder and still everyday business."""
    assert not held(Plan(deletes=2, contacts=4))


@pytest.mark.parametrize(
    ("deletes", "lately", "contacts", "passes"),
    [(1, 19, 81, True), (1, 20, 80, False), (1, 499, 100_000, True), (1, 500, 100_000, False), (1, 4, 6, True)],
)
def test_deletions_that_trickle_in_have_the_limits_of_one_run(
    deletes: int, lately: int, contacts: int, *, passes: bool
) -> None:
    """Of the contacts that there were before the first of them; small folders may lose a few."""
    reason = held(Plan(deletes=deletes, contacts=contacts), lately=lately)
    assert (not reason) is passes
    if not passes:
        assert f"after {lately} in the last 24 hours" in reason


def test_what_trickled_in_before_holds_no_plan_without_deletions() -> None:
    """It is done."""
    assert not held(Plan(inserts=1, contacts=100), lately=500)


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
def test_who_counts_enough_contacts_holds_what_they_all_would_have_held(
    contacts: int, part: float, lately: int, share: float, *, empty: bool, edited: bool
) -> None:
    """An increment counts no further, so that its time does not depend on the folder's size."""
    deletes = max(1, round(contacts * part))
    limits = Guard(delete_count=1000, delete_share=share, always_allow=5)
    enough = enough_contacts(Plan(deletes=deletes), limits, lately=lately)
    counted = contacts if enough is None else min(contacts, enough)

    def reason(number: int) -> str:
        plan = Plan(deletes=deletes, contacts=number)
        return held(plan, entries=None, source_edited=edited, allow_empty=empty, limits=limits, lately=lately)

    assert bool(reason(counted)) is bool(reason(contacts))


def test_deletions_of_contacts_that_nobody_counted_are_held() -> None:
    """As if there were no others."""
    assert held(Plan(deletes=6))
