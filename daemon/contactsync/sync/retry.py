"""The retry policy of runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import structlog

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
) -> Result:
    """Call a function up to `retry_attempts` times, while its errors may pass. Raises its last error.

    The pauses double from `retry_base` to `retry_max` seconds. Each is up to `retry_base` seconds longer at random, so
    that many runs do not retry at the same time. There is no retry after the deadline. Raises RunCancelled in a pause.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return step()
        except ContactsyncError as error:
            pause = min(options.retry_base * 2 ** (attempt - 1), options.retry_max)
            pause += random.uniform(0, options.retry_base)  # noqa: S311
            if attempt >= options.retry_attempts or not may_pass(error) or deadline.overdrawn + pause >= 0:
                raise
            _log.warning(
                "run.attempt_failed",
                attempt=attempt,
                retry_in_seconds=round(pause, 3),
                error_code=error.code,
                error=str(error),
            )
        deadline.sleep(pause)
