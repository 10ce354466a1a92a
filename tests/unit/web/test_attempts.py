"""Failed sign-ins are limited by name and by address, for fifteen minutes."""

from __future__ import annotations

import itertools

import pytest

from contactsync.web.signin.attempts import MOST_OF_A_NAME, MOST_OF_AN_ADDRESS, WINDOW_SECONDS, Attempts, network


def test_five_failures_of_a_name_are_allowed_from_any_address() -> None:
    """Spaces and case make no other name."""
    now = 0.0
    attempts = Attempts(lambda: now)
    names = itertools.cycle(["anna", "Anna ", "ANNA"])
    waits = [attempts.begin(next(names), f"192.0.2.{number}") for number in range(MOST_OF_A_NAME)]
    assert not any(waits)
    assert attempts.begin("anna", "192.0.2.99") == WINDOW_SECONDS
    assert attempts.begin("bert", "192.0.2.99") == 0
    now = WINDOW_SECONDS
    assert attempts.begin("anna", "192.0.2.99") == 0


def test_a_domain_makes_no_other_name() -> None:
    """A directory counts the failures of the account; a name that only looks like one with a domain is itself."""
    attempts = Attempts(lambda: 0.0)
    for number, name in enumerate(["anna", "EXAMPLE\\anna", "Anna@example.com", " other\\ANNA", "anna@x"]):
        assert attempts.begin(name, f"192.0.2.{number}") == 0
    assert attempts.begin("anna@example.net", "192.0.2.9") > 0
    for name in ("@", "\\", "anna\\", "o*b\\anna"):
        assert attempts.begin(name, f"192.0.2.{len(name) + 20}") == 0


def test_twenty_failures_of_an_address_are_allowed_with_any_name() -> None:
    """So that nobody tries one password with many names."""
    attempts = Attempts(lambda: 0.0)
    waits = [attempts.begin(f"person{number}", "192.0.2.1") for number in range(MOST_OF_AN_ADDRESS)]
    assert not any(waits)
    assert attempts.begin("anna", "192.0.2.1") > 0
    assert attempts.begin("anna", "192.0.2.2") == 0


def test_a_success_forgets_the_failures_of_the_name_and_none_of_the_address() -> None:
    """A password that an attacker knows does not allow more guesses."""
    attempts = Attempts(lambda: 0.0)
    for number in range(MOST_OF_AN_ADDRESS - 1):
        attempts.begin(f"person{number}", "192.0.2.1")
    for _ in range(10):
        assert attempts.begin("mallory", "192.0.2.1") == 0
        attempts.succeed("mallory", "192.0.2.1")
    assert attempts.begin("anna", "192.0.2.1") == 0
    assert attempts.begin("bert", "192.0.2.1") > 0


def test_an_attempt_that_the_directory_did_not_answer_is_not_counted() -> None:
    """Neither for the name nor for the address."""
    attempts = Attempts(lambda: 0.0)
    for _ in range(MOST_OF_AN_ADDRESS + 1):
        assert attempts.begin("anna", "192.0.2.1") == 0
        attempts.withdraw("anna", "192.0.2.1")


def test_the_table_has_a_fixed_size() -> None:
    """However many names are tried."""
    attempts = Attempts(lambda: 0.0)
    for number in range(12_000):
        attempts.begin(f"person{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._failures) == 10_000  # noqa: SLF001


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("unix", "unix", True),
    ],
)
def test_clients_of_ipv6_are_limited_by_their_network(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    """Each has more addresses than there are limits."""
    assert (network(one) == network(other)) is same
