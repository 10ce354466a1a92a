"""Codes that sign an administrator in at the console: once, within five minutes, and stored as digests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contactsync.operations.access.sign_in_codes import SignInCodes

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_code_is_redeemed_once() -> None:
    """It names the user who got it."""
    codes = SignInCodes()
    issued = codes.issue("root")
    assert issued.code not in repr(codes)
    assert codes.redeem(issued.code[:-1]) is None
    assert codes.redeem(issued.code) == "root"
    assert codes.redeem(issued.code) is None


def test_a_code_expires_after_five_minutes() -> None:
    """To the second."""
    now = START
    codes = SignInCodes(lambda: now)
    early, late = codes.issue("root"), codes.issue("root")
    now = START + timedelta(minutes=5, seconds=-1)
    assert codes.redeem(early.code) == "root"
    now = START + timedelta(minutes=5)
    assert codes.redeem(late.code) is None


def test_the_number_of_codes_is_limited() -> None:
    """The oldest one ends."""
    codes = SignInCodes()
    issued = [codes.issue("root").code for _ in range(101)]
    assert codes.redeem(issued[0]) is None
    assert codes.redeem(issued[1]) == "root"
