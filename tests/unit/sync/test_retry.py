"""What is tried again, how often and after which pauses; and the deadline that bounds it."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from contactsync.bootstrap import run_options
from contactsync.errors import (
    ContactsyncError,
    CredentialsRefused,
    DatabaseUnavailable,
    DeadlineExceeded,
    FilterRefused,
    RunCancelled,
    ServerBusy,
    ServerTimeout,
    ServerUnavailable,
)
from contactsync.ldap.connection.deadline import Deadline
from contactsync.settings import Settings
from contactsync.sync.retry import retry

OPTIONS = replace(run_options(Settings()), retry_attempts=5, retry_base=1, retry_max=4)


class Clock(Deadline):
    """A deadline that notes the pauses instead of waiting."""

    def __init__(self, seconds: float = 3600) -> None:
        super().__init__(seconds)
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """See Deadline."""
        self.pauses.append(seconds)


class Attempts:
    """Fails with the given errors in turn, then returns their number; counts the calls."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.clock = Clock()

    def __call__(self) -> int:
        """Make one attempt."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls

    def run(self, *, attempts: int = 5) -> int:
        """Make them all."""
        return retry(self, replace(OPTIONS, retry_attempts=attempts), self.clock)


def test_what_may_pass_is_tried_again() -> None:
    """Refused connections, silence and busy servers are retried until one attempt succeeds."""
    assert Attempts(ServerUnavailable("Down."), ServerTimeout("Silent."), ServerBusy("Busy.")).run() == 4


@pytest.mark.parametrize(
    "error", [CredentialsRefused("No."), FilterRefused("No."), RunCancelled("Enough."), ValueError("a defect")]
)
def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    """A refused password least of all: the account would be locked."""
    attempts = Attempts(error)

    with pytest.raises(type(error)):
        attempts.run()
    assert attempts.calls == 1


def test_the_caller_may_say_what_passes() -> None:
    """An error that is not `retryable` for the directory may be for what is tried here."""
    attempts = Attempts(DatabaseUnavailable("Down."))
    assert retry(attempts, OPTIONS, attempts.clock, may_pass=lambda error: isinstance(error, DatabaseUnavailable)) == 2


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    """It is the error itself."""
    last = ServerBusy("Still busy.")
    attempts = Attempts(ServerBusy("Busy."), ServerBusy("Busy."), last, ServerBusy("Never reached."))

    with pytest.raises(ServerBusy) as caught:
        attempts.run(attempts=3)
    assert caught.value is last


def test_pauses_double_up_to_a_limit_with_some_jitter() -> None:
    """1, 2, 4, 4 seconds, and up to 1 second more each."""
    attempts = Attempts(*(ServerBusy("Busy.") for _ in range(4)))
    attempts.run()

    pauses = attempts.clock.pauses
    assert [pause - least for pause, least in zip(pauses, (1, 2, 4, 4), strict=True)] == pytest.approx(
        [0.5] * 4, abs=0.5
    )
    assert len(set(pauses)) == 4


def test_a_pause_past_the_deadline_is_not_begun() -> None:
    """What went wrong is said at once, instead of that time ran out."""
    attempts = Attempts(ServerBusy("Busy."), ServerBusy("Busy."))

    attempts.clock = Clock(0.5)

    with pytest.raises(ServerBusy):
        attempts.run()
    assert attempts.clock.pauses == []


def test_each_retry_is_logged() -> None:
    """With the attempt, the pause and the error, and nothing for the attempt that succeeds."""
    with capture_logs() as logs:
        Attempts(ServerBusy("Busy.")).run()

    assert [(log["event"], log["attempt"], log["error_code"]) for log in logs] == [
        ("run.attempt_failed", 1, "directory.busy")
    ]
    assert 1 <= logs[0]["retry_in_seconds"] <= 2


def test_cancelling_ends_a_pause() -> None:
    """A daemon that stops does not wait for the next attempt."""
    deadline = Deadline(3600)
    canceller = threading.Timer(0.05, deadline.cancel)
    canceller.start()

    with pytest.raises(RunCancelled):
        retry(Attempts(ServerBusy("Busy.")), replace(OPTIONS, retry_base=1800, retry_max=1800), deadline)
    canceller.join()


def test_a_deadline_counts_down_and_then_raises() -> None:
    """The rest is never more than what it began with, and never 0."""
    assert 0 < Deadline(10).remaining() <= 10
    with pytest.raises(DeadlineExceeded, match="deadline of 0 s"):
        Deadline(0).remaining()


def test_a_cancelled_deadline_says_so_even_when_time_is_up() -> None:
    """Who gave up the run is told that, not that it was slow."""
    deadline = Deadline(0)
    deadline.cancel()

    with pytest.raises(RunCancelled) as caught:
        deadline.sleep(10)
    assert isinstance(caught.value, ContactsyncError)
