"""What a shell offers for the arguments of a command: names and runs, from the daemon. Silent if none answers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import typer

from contactsync.errors import ContactsyncError
from contactsync.serving.client import Daemon, live_daemon
from contactsync.settings.file import find_control_socket

_SECONDS = 1.0
_MOST = 200
_SPECIAL = re.compile(r"[^\w@%+=:,./-]")


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """The labels of definitions that begin with a text, and those of their folders."""
    labels: dict[str, None] = {}
    for row in _answer(context, "/v1/definitions", "definitions", text=incomplete or None):
        # The name of a folder means all of its definitions.
        labels |= dict.fromkeys([row["label"].partition(":")[0], row["label"]])
    return [_word(label) for label in labels if label.startswith(incomplete)]


def complete_run(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The numbers of the newest runs that begin with some digits, with folder and outcome."""
    return [
        (str(run["run_id"]), f"{run['label']}, {run['outcome'] or 'running'}")
        for run in _answer(context, "/v1/runs", "runs")
        if str(run["run_id"]).startswith(incomplete)
    ]


def complete_run_or_name(context: typer.Context, incomplete: str) -> list[str]:
    """As `complete_run` for runs in progress, and as `complete_name`."""
    runs = [str(run["run_id"]) for run in _answer(context, "/v1/status", "running")]
    return [run for run in runs if run.startswith(incomplete)] + complete_name(context, incomplete)


def _answer(context: typer.Context, path: str, key: str, **query: Any) -> Iterator[Any]:
    daemon = _daemon(context)
    if daemon is None:
        return
    try:
        limit = {} if key == "running" else {"limit": _MOST}
        yield from daemon.get(path, timeout=_SECONDS, **query, **limit)[key]
    except ContactsyncError:
        return


def _daemon(context: typer.Context) -> Daemon | None:
    try:
        path = find_control_socket(context.find_root().params.get("settings"), os.environ)
        return live_daemon(path) if path else None
    except ContactsyncError:
        return None


def _word(text: str) -> str:
    """The text as one word: bash inserts what it gets, and other shells quote it."""
    return _SPECIAL.sub(r"\\\g<0>", text) if os.environ.get("_CONTACTSYNC_COMPLETE") == "complete_bash" else text
