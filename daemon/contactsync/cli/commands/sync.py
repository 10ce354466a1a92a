"""`contactsync sync`: runs by the daemon if it is running, else in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from contactsync.bootstrap import build_runner
from contactsync.cli.commands.decisions.cancel import what_goes_on
from contactsync.cli.errors import ExitCode, Interrupted
from contactsync.cli.output.progress import run_progress
from contactsync.cli.output.summary import show_result
from contactsync.cli.output.text import show_json, show_text
from contactsync.cli.output.waiting import reason_of_daemon, waits_shown
from contactsync.errors import ControlError, DefinitionLocked, UsageError, exit_code_of
from contactsync.model import FurtherAttempt, Outcome, Trigger
from contactsync.operations.audit import record_requests
from contactsync.operations.names import find_all
from contactsync.serving.client import live_daemon
from contactsync.store.definitions import read_definitions
from contactsync.store.pool import connection_of
from contactsync.sync.document import RunDocument, RunResult, not_started
from contactsync.sync.observer import ObserverGroup
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.model import Definition
    from contactsync.serving.client import Daemon
    from contactsync.store.pool import Pool

_LABELS_SHOWN = 10


def sync(invocation: Invocation, name: str | None, *, wait: bool, as_json: bool, quiet: bool) -> int:
    """Run the definitions with a name, or all that are not paused; returns the exit code of the worst result.

    Raises UsageError, AlreadyRunning, DatabaseError, ControlError.
    """
    silent = quiet or as_json
    daemon = live_daemon(invocation.control_socket)
    if daemon and not wait:
        _request_runs(daemon, name, invocation, as_json=as_json, quiet=quiet)
        return ExitCode.DONE
    if not wait:
        raise UsageError(
            "No daemon is running that could make the run.",
            hint="Start it (contactsync daemon), or leave out --no-wait.",
        )
    if daemon:
        results = _run_by_daemon(daemon, name, invocation, silent=silent)
    else:
        results = _run_here(invocation, name, silent=silent)
    if as_json:
        show_json(invocation.out, {"runs": [run.model_dump() for run in results]})
    elif quiet:
        for run in filter(exit_code_of_run, results):
            show_result(invocation.err, run)
    elif not results:
        show_text(invocation.out, "There is nothing to run: no definition, or all are paused.")
    return max(map(exit_code_of_run, results), default=ExitCode.DONE)


def _request_runs(daemon: Daemon, name: str | None, invocation: Invocation, *, as_json: bool, quiet: bool) -> None:
    """Request runs of the definitions with a name, or of all, without waiting for them. Raises ControlError."""
    answer = daemon.post("/v1/sync", name=name)
    if as_json:
        show_json(invocation.out, answer)
    elif not quiet:
        labels = [run["label"] for run in answer["requested"]]
        what = ", ".join(labels) if len(labels) <= _LABELS_SHOWN else counted(answer["definitions"], "definition")
        show_text(invocation.out, f"The daemon will run {what}. `contactsync status` shows the progress.")


def _run_by_daemon(daemon: Daemon, name: str | None, invocation: Invocation, *, silent: bool) -> list[RunResult]:
    """Request runs, wait for their results and print them, unless `silent`.

    Raises ControlError, also if the only run could not start, and Interrupted with what goes on.
    """
    page = None if name is None else daemon.get("/v1/definitions", name=name, limit=1000)
    ids = None if page is None else {row["definition_id"] for row in page["definitions"]}
    label = "all folders" if name is None else name
    waiting = waits_shown(lambda: invocation.err, reason_of_daemon(daemon))
    with _progress(daemon, invocation, label, ids, quiet=silent), waiting:
        try:
            answer = daemon.post("/v1/sync", timeout=None, wait=True, name=name)
        except KeyboardInterrupt:
            raise Interrupted(what_goes_on(daemon, name, ids)) from None
    results = [RunResult.model_validate(document) for document in answer["runs"]]
    for result in () if silent else results:
        show_result(invocation.out, result)
    return results


@contextmanager
def _progress(
    daemon: Daemon, invocation: Invocation, label: str, ids: set[int] | None, *, quiet: bool
) -> Iterator[None]:
    """Show the progress of the runs by the daemon's events; an error of the event stream is ignored."""
    with run_progress(invocation.err, label, quiet=quiet) as progress:
        ended = threading.Event()

        def follow() -> None:
            with suppress(ControlError):
                for kind, run, _ in daemon.events():
                    if ended.is_set():
                        return
                    if kind == "run.progress" and (ids is None or run["definition_id"] in ids):
                        attempt = run["further_attempt"]
                        progress.show(run["stage"], run["entries"], attempt and FurtherAttempt(**attempt))

        if not quiet and invocation.err.is_terminal:
            threading.Thread(target=follow, daemon=True).start()
        try:
            yield
        finally:
            ended.set()


def _run_here(invocation: Invocation, name: str | None, *, silent: bool) -> list[RunResult]:
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            if name is None:
                definitions = [definition for definition in read_definitions(connection) if definition.enabled]
            else:
                definitions = find_all(connection, name)
            record_requests(connection, invocation.actor, None if name is None else definitions)
        return run_each(invocation, pool, definitions, named=name is not None, silent=silent)


def run_each(
    invocation: Invocation, pool: Pool, definitions: list[Definition], *, named: bool, silent: bool = False
) -> list[RunResult]:
    """Run definitions one after the other, until the user interrupts, and print each result, unless `silent`.

    A locked definition runs if the user has `named` it; else its result is a failed one. Raises AlreadyRunning,
    DatabaseError.
    """
    from contactsync.cli.local.interrupt import cancelled_by_signals

    results = []
    runner = build_runner(invocation.settings, pool)
    asked_at = time.monotonic() if named else None
    with cancelled_by_signals(runner) as interruption:
        for definition in definitions:
            with run_progress(invocation.err, definition.label, quiet=silent) as progress:
                observer = ObserverGroup(progress, interruption)
                # Again: the display has replaced stderr.
                invocation.log_quietly()
                try:
                    report = runner.run(definition.definition_id, Trigger.MANUAL, observer, asked_at=asked_at)
                    results.append(RunResult.of(report))
                except DefinitionLocked as error:
                    results.append(not_started(definition, Trigger.MANUAL, error))
            if not silent:
                show_result(invocation.out, results[-1])
            if interruption.requested:
                break
    return results


def exit_code_of_run(run: RunDocument) -> int:
    """The exit code of a command that made this run."""
    if run.outcome in {Outcome.UNCHANGED, Outcome.CHANGED}:
        return ExitCode.DONE
    if run.outcome is Outcome.HELD:
        return ExitCode.HELD
    if run.outcome is Outcome.CANCELLED:
        return ExitCode.INTERRUPTED
    return exit_code_of(run.error_code)
