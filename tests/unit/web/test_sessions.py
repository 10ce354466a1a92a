"""Sessions end by themselves, are bound to a random text that is not stored, and keep what was typed."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from contactsync.web.person import Person
from contactsync.web.sessions import IDLE_SECONDS, MOST_OF_ONE_PERSON, WHOLE_SECONDS, Sessions

ANNA = Person("anna", admin=False, how="directory", address="192.0.2.7")


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1000.0
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        """Make the sessions that follow it."""
        self.sessions = Sessions(lambda: self.now)


def test_a_session_has_256_random_bits_and_only_their_digest_is_stored() -> None:
    """Two sessions of a person share nothing."""
    sessions = Sessions()
    first, second = sessions.begin(ANNA), sessions.begin(ANNA)
    assert first != second
    assert len(base64.urlsafe_b64decode(first + "=")) == 32
    assert first not in repr(vars(sessions))


def test_a_session_ends_after_half_an_hour_without_use() -> None:
    """Each use prolongs it."""
    clock = Clock()
    token = clock.sessions.begin(ANNA)
    for _ in range(3):
        clock.now += IDLE_SECONDS - 1
        assert clock.sessions.find(token)
    clock.now += IDLE_SECONDS
    assert clock.sessions.find(token) is None
    clock.now -= IDLE_SECONDS
    assert clock.sessions.find(token) is None


def test_a_session_ends_after_twelve_hours_of_use() -> None:
    """However often it is used."""
    clock = Clock()
    token, end = clock.sessions.begin(ANNA), clock.now + WHOLE_SECONDS
    while clock.now < end - IDLE_SECONDS:
        clock.now += IDLE_SECONDS / 2
        assert clock.sessions.find(token)
    clock.now = end
    assert clock.sessions.find(token) is None


def test_a_session_that_was_ended_is_unknown() -> None:
    """And so is a made-up one."""
    sessions = Sessions()
    token = sessions.begin(ANNA)
    assert sessions.end(token)
    assert (sessions.find(token), sessions.find("x"), sessions.find("")) == (None, None, None)


def test_a_person_has_a_limited_number_of_sessions() -> None:
    """The oldest one ends."""
    sessions = Sessions()
    tokens = [sessions.begin(ANNA) for _ in range(MOST_OF_ONE_PERSON + 1)]
    assert sessions.find(tokens[0]) is None
    assert all(map(sessions.find, tokens[1:]))


def test_what_was_typed_is_given_back_once_and_to_its_form_only() -> None:
    """Another page does not get it."""
    sessions = Sessions()
    session = sessions.find(sessions.begin(ANNA))
    assert session
    session.keep("/folders/new", {"label": "Sales"})
    assert session.take_kept("/folders") == {}
    assert session.take_kept("/folders/new") == {"label": "Sales"}
    assert session.take_kept("/folders/new") == {}
