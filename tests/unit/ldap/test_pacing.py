"""Pauses between receives: long enough to save receives, and short enough to delay nothing."""

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


def measured(
    clock: list[float], entry_seconds: float, *, octets: int = OCTETS, receives: int = 20, pacing: Pacing | None = None
) -> Pacing:
    """A pacing that has measured entries so far apart, a hundred in each receive."""
    pacing = pacing or Pacing()
    pacing.begin(10**9)
    for receive in range(1, receives + 1):
        clock[0] += 100 * entry_seconds
        pacing.pause(100 * receive, 100 * octets)
    return pacing


def pause(pacing: Pacing, here: int, left: int) -> float:
    """The pause of a read in which so many entries came before the first receive, and so many may follow."""
    pacing.begin(here + left)
    return pacing.pause(here, 0)


@pytest.mark.parametrize("octets", [50, OCTETS])
@pytest.mark.parametrize("entry_seconds", [2e-6, 8e-6, 2e-5])
def test_neither_the_page_nor_the_receive_buffer_ends_during_a_pause(
    clock: list[float], entry_seconds: float, octets: int
) -> None:
    """However fast the server sends, a part of the page and half of the buffer are left."""
    pacing = measured(clock, entry_seconds, octets=octets)
    for left in (300, 500, 1000, 10**9):
        entries = pause(pacing, 100, left) / entry_seconds
        assert entries <= left - 100
        assert entries * octets <= 64 << 10
    assert pause(pacing, 100, 1000) > 0


def test_long_entries_fill_the_buffer_sooner(clock: list[float]) -> None:
    """The buffer has room for two entries with a photo."""
    assert pause(measured(clock, 1e-4, octets=20_000), 100, 1000) <= 3e-4


@pytest.mark.parametrize(("here", "left"), [(0, 1000), (10, 1000), (500, 100), (500, -500)])
def test_there_is_no_pause_for_few_entries(clock: list[float], here: int, left: int) -> None:
    """Neither at the beginning of a page, which may be all, nor at its end."""
    assert pause(measured(clock, 1e-5), here, left) == 0
    assert pause(Pacing(), here, left) == 0


def test_pauses_are_short_for_a_slow_server(clock: list[float]) -> None:
    """The run may be cancelled meanwhile."""
    assert 0 < pause(measured(clock, 1.0), 100, 1000) <= 0.01


def test_pauses_follow_a_server_that_becomes_faster(clock: list[float]) -> None:
    """Old measurements lose their weight."""
    pacing = measured(clock, 1e-6, receives=120, pacing=measured(clock, 1e-4))
    assert pause(pacing, 100, 1000) <= (1000 - 100) * 2e-6


def test_the_time_between_two_reads_is_not_measured(clock: list[float]) -> None:
    """It is the caller's, not the server's."""
    pacing = measured(clock, 1e-6)
    before = pause(pacing, 100, 1000)
    clock[0] += 60
    pacing.begin(1000)
    pacing.pause(500, 500 * OCTETS)
    assert pause(pacing, 100, 1000) == before
