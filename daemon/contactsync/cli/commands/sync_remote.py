"""`contactsync sync` by a running daemon, which makes the runs and reports their progress."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from contactsync.cli.output.progress import run_progress
from contactsync.cli.output.summary import show_result
from contactsync.cli.output.text import show_json, show_text
from contactsync.errors import ControlError
from contactsync.sync.document import RunResult
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.client import Daemon
    from contactsync.cli.context import Invocation

_LABELS_SHOWN = 10


def request_runs(daemon: Daemon, name: str | None, invocation: Invocation, *, as_json: bool, quiet: bool) -> None:
    """Request runs of the definitions with a name, or of all, without waiting for them. Raises ControlError."""
    answer = daemon.post("/v1/sync", name=name)
    if as_json:
        show_json(invocation.out, answer)
    elif not quiet:
        labels = [ref["label"] for ref in answer["requested"]]
        what = ", ".join(labels) if len(labels) <= _LABELS_SHOWN else counted(len(labels), "definition")
        show_text(invocation.out, f"The daemon will run {what}. `contactsync status` shows the progress.")


def run_by(daemon: Daemon, name: str | None, invocation: Invocation, *, silent: bool) -> list[RunResult]:
    """Request runs, wait for their results and print them, unless `silent`.

    Raises ControlError, also if the only run could not start.
    """
    ids = None if name is None else {row["definition_id"] for row in daemon.get("/v1/definitions", name=name)}
    with _progress(daemon, invocation, "all folders" if name is None else name, ids, quiet=silent):
        answer = daemon.post("/v1/sync", timeout=None, wait=True, name=name)
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
                for kind, run in daemon.events():
                    if ended.is_set():
                        return
                    if kind == "run.progress" and (ids is None or run["definition_id"] in ids):
                        progress.show(run["stage"], run["entries"])

        if not quiet and invocation.err.is_terminal:
            threading.Thread(target=follow, daemon=True).start()
        try:
            yield
        finally:
            ended.set()
