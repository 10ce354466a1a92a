"""What Ctrl-C and SIGTERM do to a run that this process makes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contactsync.errors import RunCancelled
from contactsync.sync.observer import Observer

if TYPE_CHECKING:
    from contactsync.model import RunReport
    from contactsync.sync.runner import Runner


class Interruption(Observer):
    """Whether the user has interrupted this process; an observer of its runs."""

    def __init__(self, runner: Runner) -> None:
        self.requested = False
        self._runner = runner
        self._stage = ""

    def progress(self, report: RunReport, stage: str) -> None:  # noqa: ARG002 -- an observer's signature
        """See Observer."""
        self._stage = stage

    def request(self) -> None:
        """Cancel the run. Raises RunCancelled where the run may wait in a library, which knows no cancellation."""
        self.requested = True
        self._runner.cancel_all()
        if self._stage == "connect":
            raise RunCancelled("The run was cancelled before anything was applied.")


@contextmanager
def cancelled_by_signals(runner: Runner) -> Iterator[Interruption]:
    """Cancel the run on the first SIGINT or SIGTERM, so that it is recorded; the second one ends the process."""
    interruption = Interruption(runner)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def cancel(_number: int, _frame: Any) -> None:
        restore()
        interruption.request()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, cancel)
    try:
        yield interruption
    finally:
        restore()
