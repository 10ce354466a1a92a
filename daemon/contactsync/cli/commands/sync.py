"""`contactsync sync`: runs now, by the daemon when one is alive, else in this process."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import build_runner
from contactsync.cli.client import live_daemon
from contactsync.cli.commands.sync_remote import leave_to, wait_for
from contactsync.cli.errors import ExitCode, exit_code_of
from contactsync.cli.output.progress import RunProgress, run_progress
from contactsync.cli.output.summary import report_document, show_report
from contactsync.cli.output.text import show_json, show_text
from contactsync.errors import DefinitionLocked, UsageError
from contactsync.model import Outcome, RunReport, Trigger
from contactsync.operations.names import find_all
from contactsync.store.definitions import read_definitions
from contactsync.store.pool import connection_of

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.cli.context import Invocation
    from contactsync.model import Definition
    from contactsync.sync.runner import Runner


def sync(invocation: Invocation, name: str | None, *, wait: bool, as_json: bool, quiet: bool) -> int:
    """Run the definitions that this names, or all that are not paused; returns the exit code of the worst.

    Raises UsageError, AlreadyRunning, DatabaseError, ControlError.
    """
    with live_daemon(invocation.settings.control.socket) as daemon:
        if daemon:
            if not wait:
                leave_to(daemon, name, invocation, as_json=as_json, quiet=quiet)
                return ExitCode.DONE
            reports = wait_for(daemon, name, invocation, quiet=quiet or as_json)
        elif not wait:
            raise UsageError(
                "There is no daemon to leave the run to.",
                hint="Start it (contactsync daemon), or run this without --no-wait.",
            )
        else:
            reports = _run_here(invocation, name, quiet=quiet or as_json)
    if as_json:
        show_json(invocation.out, {"runs": [report_document(report) for report in reports]})
    elif quiet:
        _show_trouble(invocation, reports)
    elif daemon:
        for report in reports:
            show_report(invocation.out, report)
    if not (reports or as_json or quiet):
        show_text(invocation.out, "There is nothing to run: no definition, or all are paused.")
    return max((run_exit_code(report) for report in reports), default=ExitCode.DONE)


def _run_here(invocation: Invocation, name: str | None, *, quiet: bool) -> list[RunReport]:
    """Make the runs one after the other; each is shown when it has ended."""
    reports = []
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            definitions = find_all(connection, name) if name is not None else _enabled(connection)
        runner = build_runner(invocation.settings, pool)
        asked_at = None if name is None else time.monotonic()
        with giving_up_when_told(runner):
            for definition in definitions:
                with run_progress(invocation.err, definition.label, quiet=quiet) as progress:
                    # Again, because the display has put a stderr in place that writes above it.
                    invocation.log_quietly()
                    reports.append(_run(runner, definition, progress, asked_at))
                if not quiet:
                    show_report(invocation.out, reports[-1])
    return reports


def _run(runner: Runner, definition: Definition, progress: RunProgress, asked_at: float | None) -> RunReport:
    """Make one run. A locked definition, which runs only if it is named, gives a failed report."""
    try:
        return runner.run(definition.definition_id, Trigger.MANUAL, progress, asked_at=asked_at)
    except DefinitionLocked as error:
        now = datetime.now(UTC)
        return RunReport(0, definition, Trigger.MANUAL, now, error_code=error.code, error=str(error))


def _enabled(connection: Connection[Any]) -> list[Definition]:
    return [definition for definition in read_definitions(connection) if definition.enabled]


def _show_trouble(invocation: Invocation, reports: list[RunReport]) -> None:
    for report in reports:
        if run_exit_code(report):
            show_report(invocation.err, report)


def run_exit_code(report: RunReport) -> int:
    """What a command ends with that made this run."""
    if report.outcome in {Outcome.UNCHANGED, Outcome.CHANGED}:
        return ExitCode.DONE
    if report.outcome is Outcome.HELD:
        return ExitCode.HELD
    if report.outcome is Outcome.CANCELLED:
        return ExitCode.INTERRUPTED
    return exit_code_of(report.error_code)


@contextmanager
def giving_up_when_told(runner: Runner) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM cancel the run, which is then recorded; the second ends the process as usual."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def give_up(_number: int, _frame: Any) -> None:
        restore()
        runner.cancel_all()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, give_up)
    try:
        yield
    finally:
        restore()
