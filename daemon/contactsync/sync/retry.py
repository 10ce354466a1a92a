"""The one retry policy: what may succeed a little later is tried again, a few times, with growing pauses."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
from tenacity.stop import stop_base

from contactsync.errors import ContactsyncError, DeadlineExceeded
from contactsync.ldap.connection.deadline import Deadline

_log = structlog.get_logger()


def is_retryable(error: BaseException) -> bool:
    """Whether the error says of itself that the same attempt may succeed a little later."""
    return isinstance(error, ContactsyncError) and error.retryable


def retrying(
    *,
    attempts: int,
    base_seconds: float,
    max_seconds: float,
    deadline: Deadline,
    passes: Callable[[BaseException], bool] = is_retryable,
    sleep: Callable[[float], None] | None = None,
) -> Retrying:
    """A new policy for one run; iterate over it (`for attempt in ...: with attempt: ...`) or call it with a function.

    Errors that `passes` says may pass are tried again, `attempts` times in all at most. The pauses double from
    `base_seconds` to `max_seconds`, and each takes up to `base_seconds` longer by chance, so that many runs do not
    return in step. A pause that would reach past the deadline is not begun: the last error is raised instead.
    Cancelling the deadline ends a pause with RunCancelled.
    """
    return Retrying(
        retry=retry_if_exception(passes),
        stop=stop_after_attempt(attempts) | _PauseOutlasts(deadline),
        wait=wait_exponential(multiplier=base_seconds, max=max_seconds) + wait_random(0, base_seconds),
        sleep=sleep or deadline.sleep,
        before_sleep=_log_retry,
        reraise=True,
    )


class _PauseOutlasts(stop_base):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: RetryCallState) -> bool:
        try:
            return retry_state.upcoming_sleep >= self._deadline.remaining()
        except DeadlineExceeded:
            return True


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning(
        "run.attempt_failed",
        attempt=state.attempt_number,
        retry_in_seconds=round(state.upcoming_sleep, 3),
        error_code=getattr(error, "code", None),
        error=str(error),
    )
