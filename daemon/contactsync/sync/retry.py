"""The retry policy of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
from tenacity.stop import stop_base

from contactsync.errors import ContactsyncError, DeadlineExceeded

if TYPE_CHECKING:
    from contactsync.ldap.connection.deadline import Deadline
    from contactsync.sync.options import RunOptions

_log = structlog.get_logger()


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ContactsyncError) and error.retryable


def retrying(
    options: RunOptions,
    deadline: Deadline,
    *,
    may_pass: Callable[[BaseException], bool] = _is_retryable,
    sleep: Callable[[float], None] | None = None,
) -> Retrying:
    """A policy that calls a function up to `retry_attempts` times, while its errors may pass.

    The pauses double from `retry_base` to `retry_max` seconds. Each is up to `retry_base` seconds longer at random, so
    that many runs do not retry at the same time. If a pause would exceed the deadline, the last error is raised.
    Cancelling the deadline ends a pause with RunCancelled.
    """
    return Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_attempt(options.retry_attempts) | _PauseExceeds(deadline),
        wait=wait_exponential(multiplier=options.retry_base, max=options.retry_max)
        + wait_random(0, options.retry_base),
        sleep=sleep or deadline.sleep,
        before_sleep=_log_retry,
        reraise=True,
    )


class _PauseExceeds(stop_base):
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
