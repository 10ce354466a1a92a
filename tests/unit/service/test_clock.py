"""A clock that is set is noticed, by how much and once."""

from __future__ import annotations

import time

import pytest

from contactsync.dispatch.clock import WallClock


@pytest.mark.parametrize("jump", [7200.0, -7200.0, 3.0, -86_400.0 * 365])
def test_a_jump_is_reported_once(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """In either direction."""
    clock, real = WallClock(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    assert clock.jump() == pytest.approx(jump, abs=1)
    assert clock.jump() == 0.0


def test_what_a_time_server_corrects_is_no_jump() -> None:
    """The two clocks run apart by little."""
    assert WallClock().jump() == 0.0
