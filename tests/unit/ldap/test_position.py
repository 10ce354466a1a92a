"""Positions: each request overlaps with what an earlier response may have lacked."""

from __future__ import annotations

import pytest

from contactsync.ldap.changes.position import (
    SETTLE_SECONDS,
    Csns,
    Position,
    any_newer,
    cookie_of,
    csns_of,
    csns_of_cookie,
)

NOW = 1_800_000_000.0


def at(second: int, *, sid: str = "001") -> Csns:
    """The CSNs of one server that wrote last in this second of a minute."""
    return csns_of([f"202611300000{second:02}.500000Z#000000#{sid}#000000"])


def test_a_change_after_a_quiet_time_is_requested_from_the_last_certain_position() -> None:
    """Before and after SETTLE_SECONDS; only the second request makes it certain."""
    start = Position.certain_at(at(0))
    assert start.is_certain
    assert start.origin(NOW) == at(0)
    first = start.after(at(40), asked_at=NOW)
    assert (first.newest, first.certain, first.is_certain) == (at(40), at(0), False)
    assert first.settles_in(NOW) == SETTLE_SECONDS
    assert first.origin(NOW + SETTLE_SECONDS) == at(0)
    second = first.after(at(40), asked_at=NOW + SETTLE_SECONDS)
    assert second.is_certain
    assert second.origin(NOW) == at(40)


def test_requests_in_quick_succession_overlap_by_two_seconds() -> None:
    """No more is read twice, and nothing before the certain position."""
    position = Position.certain_at(at(0)).after(at(40), asked_at=NOW)
    assert position.origin(NOW + 1) == csns_of(["20261130000038.500000Z#000000#001#000000"])
    assert Position.certain_at(at(39)).after(at(40), asked_at=NOW).origin(NOW + 1) == at(39)


def test_a_stream_of_changes_becomes_certain_with_a_delay() -> None:
    """Every SETTLE_SECONDS."""
    position, certain = Position.certain_at(at(0)), []
    for second in range(1, 60):
        position = position.after(at(second), asked_at=NOW + second)
        certain.append(position.certain)
        assert not position.is_certain
    assert certain[-1] == at(31)
    assert len({cookie_of(csns) for csns in certain}) == 4


def test_a_clock_that_is_set_back_causes_a_delay() -> None:
    """The wait starts again."""
    position = Position.certain_at(at(0)).after(at(1), asked_at=NOW)
    assert position.settles_in(NOW - 7200) == SETTLE_SECONDS
    again = position.after(at(2), asked_at=NOW - 7200)
    assert again.settles_in(NOW - 7200 + SETTLE_SECONDS) == 0


def test_a_position_is_parsed_from_its_octets() -> None:
    """With several servers too."""
    position = Position.certain_at(at(1) | at(2, sid="002")).after(at(3) | at(2, sid="002"), asked_at=NOW)
    assert Position.parse(position.encode()) == position


@pytest.mark.parametrize("octets", [b"", b"\xff", b"csn=x certain=x pending=x at=0", b"rid=000,csn=x"])
def test_other_octets_are_not_a_position(octets: bytes) -> None:
    """They are refused."""
    assert Position.parse(octets) is None


def test_a_cookie_must_have_the_form_of_slapd() -> None:
    """With or without the id of the server."""
    csn = at(1)["001"]
    assert csns_of_cookie(cookie_of(at(1))) == csns_of_cookie(f"rid=000,sid=001,csn={csn}".encode()) == at(1)
    assert not any(map(csns_of_cookie, (b"", b"csn=", b"rid=000,csn=1;2", f"rid=000,csn={csn};x".encode())))
    assert any_newer(at(2), at(1))
    assert not any_newer(at(1), at(1) | at(0, sid="002"))
