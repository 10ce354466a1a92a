"""What is retried, how often and after which pauses; and the deadline of the retries."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from contactsync.bootstrap import run_options
from contactsync.errors import (
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
from contactsync.settings.schema import Settings
from contactsync.sync.retry import retry

OPTIONS = replace(run_options(Settings()), retry_attempts=5, retry_base=1, retry_max=4)


class Clock(Deadline):
    """A deadline that notes the pauses and does not wait."""

    def __init__(self, seconds: float = 3600) -> None:
        super().__init__(seconds)
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """See Deadline."""
        self.pauses.append(seconds)


class Attempts:
    """Raises the given errors in turn, then returns the number of calls."""

    def __init__(self, *errors: Exception, seconds: float = 3600) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.clock = Clock(seconds)

    def __call__(self) -> int:
        """Make one attempt."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls

    def run(self, *, attempts: int = 5) -> int:
        """Make all attempts."""
        return retry(self, replace(OPTIONS, retry_attempts=attempts), self.clock)


def test_errors_that_may_pass_are_retried() -> None:
    """Refused connections, silent servers and busy servers, until one attempt succeeds."""
    assert Attempts(ServerUnavailable("Down."), ServerTimeout("Silent."), ServerBusy("Busy.")).run() == 4


@pytest.mark.parametrize(
    "error", [CredentialsRefused("No."), FilterRefused("No."), RunCancelled("Enough."), ValueError("a defect")]
)
def test_other_errors_are_not_retried(error: Exception) -> None:
    """Repeating a refused password would lock the account."""
    attempts = Attempts(error)
    with pytest.raises(type(error)):
        attempts.run()
    assert attempts.calls == 1


def test_the_caller_may_decide_what_may_pass() -> None:
    """An unavailable database is not retryable for a run, but for its record."""
    attempts = Attempts(DatabaseUnavailable("Down."))
    assert retry(attempts, OPTIONS, attempts.clock, may_pass=lambda error: isinstance(error, DatabaseUnavailable)) == 2


def test_the_last_attempt_raises_its_error() -> None:
    """It is the error itself."""
    last = ServerBusy("Still busy.")
    with pytest.raises(ServerBusy) as caught:
        Attempts(ServerBusy("Busy."), ServerBusy("Busy."), last, ServerBusy("Not reached.")).run(attempts=3)
    assert caught.value is last


def test_pauses_double_up_to_a_limit_with_some_jitter() -> None:
    """1, 2, 4, 4 seconds, and up to 1 second more each."""
    attempts = Attempts(*(ServerBusy("Busy.") for _ in range(4)))
    attempts.run()
    jitter = [pause - least for pause, least in zip(attempts.clock.pauses, (1, 2, 4, 4), strict=True)]
    assert jitter == pytest.approx([0.5] * 4, abs=0.5)
    assert len(set(jitter)) == 4


def test_there_is_no_pause_past_the_deadline() -> None:
    """The error of the attempt is raised at once, not DeadlineExceeded later."""
    attempts = Attempts(ServerBusy("Busy."), ServerBusy("Busy."), seconds=0.5)
    with pytest.raises(ServerBusy):
        attempts.run()
    assert attempts.clock.pauses == []


def test_each_retry_is_logged() -> None:
    """With the attempt, the pause and the error."""
    with capture_logs() as logs:
        Attempts(ServerBusy("Busy.")).run()
    (log,) = logs
    assert (log["event"], log["attempt"], log["error_code"]) == ("run.attempt_failed", 1, "directory.busy")
    assert 1 <= log["retry_in_seconds"] <= 2


def test_cancelling_ends_a_pause() -> None:
    """A daemon that stops does not wait for the next attempt."""
    deadline = Deadline(3600)
    canceller = threading.Timer(0.05, deadline.cancel)
    canceller.start()
    with pytest.raises(RunCancelled):
        retry(Attempts(ServerBusy("Busy.")), replace(OPTIONS, retry_base=1800, retry_max=1800), deadline)
    canceller.join()


def test_a_deadline_counts_down_and_then_raises() -> None:
    """The remaining time is never 0."""
    assert 0 < Deadline(10).remaining() <= 10
    with pytest.raises(DeadlineExceeded, match="deadline of 0 s"):
        Deadline(0).remaining()


def test_a_cancelled_deadline_says_so_after_its_end_too() -> None:
    """The message is about the cancellation, not about a slow directory."""
    deadline = Deadline(0)
    deadline.cancel()
    with pytest.raises(RunCancelled):
        deadline.sleep(10)
