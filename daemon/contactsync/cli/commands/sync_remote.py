"""`contactsync sync` by the daemon: it makes the runs, and tells how far they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.progress import run_progress
from contactsync.cli.output.text import counted, show_json, show_text
from contactsync.errors import ControlError
from contactsync.model import Counts, Definition, Mode, Outcome, Plan, RunReport, Trigger

if TYPE_CHECKING:
    from contactsync.cli.client import Daemon
    from contactsync.cli.context import Invocation

_LABELS_SHOWN = 10


def leave_to(daemon: Daemon, name: str | None, invocation: Invocation, *, as_json: bool, quiet: bool) -> None:
    """Ask for the runs and do not wait for them. Raises ControlError."""
    answer = daemon.post("/v1/sync", name=name)
    if as_json:
        show_json(invocation.out, answer)
    elif not quiet:
        labels = [ref["label"] for ref in answer["requested"]]
        what = ", ".join(labels) if len(labels) <= _LABELS_SHOWN else counted(len(labels), "definition")
        show_text(invocation.out, f"The daemon will run {what}. `contactsync status` shows the progress.")


def wait_for(daemon: Daemon, name: str | None, invocation: Invocation, *, quiet: bool) -> list[RunReport]:
    """Have the daemon make the runs, and give their reports; one that could not begin is a failed one.

    Raises ControlError, or what kept the only one from beginning.
    """
    ids = None if name is None else {row["definition_id"] for row in daemon.get("/v1/definitions", name=name)}
    with _shown(daemon, invocation, "all folders" if name is None else name, ids, quiet=quiet):
        answer = daemon.post("/v1/sync", timeout=None, wait=True, name=name)
    reports = [_report(document, _definition(document)) for document in answer["runs"]]
    return reports + [_failed(document, _definition(document)) for document in answer["not_run"]]


def _definition(document: dict[str, Any]) -> Definition:
    return Definition(folder_id=0, definition_id=document["definition_id"], folder=document["label"])


@contextmanager
def _shown(daemon: Daemon, invocation: Invocation, label: str, ids: set[int] | None, *, quiet: bool) -> Iterator[None]:
    """Show how far the runs are, by the daemon's events; a display that fails is no reason to fail."""
    with run_progress(invocation.err, label, quiet=quiet) as progress:
        over = threading.Event()

        def follow() -> None:
            with suppress(ControlError):
                for kind, data in daemon.events():
                    if over.is_set():
                        return
                    if kind == "run.progress" and (ids is None or data["definition_id"] in ids):
                        progress.show(data["stage"], _counts(data))

        if not quiet and invocation.err.is_terminal:
            threading.Thread(target=follow, daemon=True).start()
        try:
            yield
        finally:
            over.set()


def _report(document: dict[str, Any], definition: Definition) -> RunReport:
    return RunReport(
        run_id=document["run_id"],
        definition=definition,
        trigger=Trigger(document["trigger"]),
        started_at=datetime.fromisoformat(document["started_at"]),
        outcome=Outcome(document["outcome"]),
        counts=_counts(document),
        seconds=document["seconds"],
        server=document["server"],
        skipped_servers=tuple(document["skipped_servers"]),
        mode=Mode(document["mode"]),
        full_reason=document["full_reason"],
        attempts=document["attempts"],
        error_code=document["error_code"],
        error=document["error"],
        held_reason=document["held_reason"],
        plan=Plan(
            deleted_names=tuple(document["deleted_names"]),
            rejected_sample=tuple((entry["dn"], entry["reason"]) for entry in document["rejected_sample"]),
        ),
    )


def _failed(document: dict[str, Any], definition: Definition) -> RunReport:
    now = datetime.now().astimezone()
    return RunReport(0, definition, Trigger.MANUAL, now, error_code=document["code"], error=document["error"])


def _counts(data: dict[str, Any]) -> Counts:
    return Counts(**{field.name: data[field.name] for field in fields(Counts)})
