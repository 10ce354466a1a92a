"""How long not to look: as long as much is sure to come, and not so long that anybody waits."""

from __future__ import annotations

import pytest

from contactsync.ldap.connection import pacing as module
from contactsync.ldap.connection.pacing import Pacing

OCTETS = 300
"""Of an entry."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless its only hand is moved."""
    hand = [100.0]
    monkeypatch.setattr(module, "perf_counter", lambda: hand[0])
    return hand


def taught(clock: list[float], entry_seconds: float, *, octets: int = OCTETS, looks: int = 20) -> Pacing:
    """A pace that has seen entries come so far apart, a hundred at each look."""
    pace = Pacing()
    pace.begin()
    for _ in range(looks):
        clock[0] += 100 * entry_seconds
        pace.looked(100, 100 * octets)
    return pace


@pytest.mark.parametrize("octets", [50, OCTETS])
@pytest.mark.parametrize("entry_seconds", [2e-6, 8e-6, 2e-5])
def test_neither_a_page_nor_the_room_for_it_ends_during_a_lull(
    clock: list[float], entry_seconds: float, octets: int
) -> None:
    """Whatever the server's pace, some of the page and half of the room are left."""
    pace = taught(clock, entry_seconds, octets=octets)
    for left in (300, 500, 1000, 10**9):
        entries = pace.lull(100, left) / entry_seconds
        assert entries <= left - 100
        assert entries * octets <= 64 << 10
    assert pace.lull(100, 1000) > 0


def test_long_entries_fill_the_room_sooner(clock: list[float]) -> None:
    """With a photo in each there is room for two."""
    assert taught(clock, 1e-4, octets=20_000).lull(100, 1000) <= 3e-4


@pytest.mark.parametrize(("here", "left"), [(0, 1000), (10, 1000), (500, 100), (500, -500)])
def test_few_entries_are_looked_for_at_once(clock: list[float], here: int, left: int) -> None:
    """At the beginning, which may be all, and at the end of a page."""
    assert taught(clock, 1e-5).lull(here, left) == 0
    assert Pacing().lull(here, left) == 0


def test_a_slow_server_is_looked_at_all_the_same(clock: list[float]) -> None:
    """Somebody may give the run up."""
    assert 0 < taught(clock, 1.0).lull(100, 1000) <= 0.01


def test_a_server_that_grows_faster_is_believed_soon(clock: list[float]) -> None:
    """What was slow at first does not count for ever."""
    pace = taught(clock, 1e-4)
    for _ in range(60):
        clock[0] += 100 * 1e-6
        pace.looked(100, 100 * OCTETS)
    assert pace.lull(100, 1000) <= (1000 - 100) * 2e-6


def test_the_time_between_two_reads_is_not_the_servers(clock: list[float]) -> None:
    """A caller may take its time with what came."""
    pace = taught(clock, 1e-6)
    before = pace.lull(100, 1000)
    clock[0] += 60
    pace.begin()
    pace.looked(500, 500 * OCTETS)
    assert pace.lull(100, 1000) == before
