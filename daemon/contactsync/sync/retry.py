"""The retry policy for failures of a directory or a database that may pass soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)
from tenacity.stop import stop_base

from contactsync.errors import ContactsyncError

if TYPE_CHECKING:
    from contactsync.ldap.connection.deadline import Deadline
    from contactsync.sync.options import RunOptions

_log = structlog.get_logger()

Result = TypeVar("Result")


def retry(
    step: Callable[[], Result],
    options: RunOptions,
    deadline: Deadline,
    *,
    may_pass: Callable[[ContactsyncError], bool] = lambda error: error.retryable,
    failed: Callable[[int, ContactsyncError], object] = lambda _number, _error: None,
) -> Result:
    """Call a function up to `retry_attempts` times, while its errors may pass. Raises its last error.

    The pauses double from `retry_base` to `retry_max` seconds. Each is up to `retry_base` seconds longer at random, so
    that many runs do not retry at the same time. There is no retry after the deadline. Raises RunCancelled in a pause.
    `failed` gets the number of an attempt and its error, before the pause.
    """
    try:
        return step()  # most steps succeed, and tenacity takes longer than some of them
    except ContactsyncError as error:
        first_error = error
    failures = iter([first_error])

    def attempt() -> Result:
        for error in failures:
            raise error
        return step()

    def before_sleep(state: RetryCallState) -> None:
        error = cast("ContactsyncError", state.outcome.exception() if state.outcome else None)
        _log_retry(state, error)
        failed(state.attempt_number, error)

    policy = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ContactsyncError) and may_pass(error)),
        stop=stop_after_attempt(options.retry_attempts) | _PauseExceeds(deadline),
        wait=wait_exponential(multiplier=options.retry_base, max=options.retry_max)
        + wait_random(0, options.retry_base),
        sleep=deadline.sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
    return policy(attempt)


class _PauseExceeds(stop_base):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._deadline.overdrawn + retry_state.upcoming_sleep >= 0


def _log_retry(state: RetryCallState, error: ContactsyncError) -> None:
    _log.warning(
        "run.attempt_failed",
        attempt=state.attempt_number,
        retry_in_seconds=round(state.upcoming_sleep, 3),
        error_code=error.code,
        error=str(error),
    )
