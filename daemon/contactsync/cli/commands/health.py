"""`contactsync status --check`: one line and an exit code, as plugins of Nagios and Icinga give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

from contactsync.cli.output.text import show_json
from contactsync.errors import ContactsyncError, ControlError, DatabaseError
from contactsync.serving.client import live_daemon
from contactsync.text import counted, printable

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.serving.client import Daemon

_SILENT = frozenset({ControlError.code, DatabaseError.code, "database.unavailable", "http.500"})
_TO_DECIDE = ("held", "locked", "invalid", "failing")
"""States of definitions that need a user."""
_LABELS_SHOWN = 3


class Health(IntEnum):
    """The exit codes of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def check_health(invocation: Invocation, *, as_json: bool) -> int:
    """Print one line about the daemon and its folders, with performance data; returns the exit code.

    It asks the daemon only, so that a check never starts the embedded PostgreSQL.
    """
    numbers: dict[str, float] = {}
    try:
        daemon = live_daemon(invocation.control_socket)
        if daemon is None:
            health, text = Health.CRITICAL, f"no daemon listens at {invocation.control_socket}"
        else:
            numbers, problems, unready = _read(daemon)
            health = Health.CRITICAL if unready else Health.WARNING if problems else Health.OK
            text = "; ".join([*unready, *problems]) or _summary(numbers)
    except ContactsyncError as error:
        health = Health.CRITICAL if error.code in _SILENT else Health.UNKNOWN
        text = error.message
    text = printable(text).rstrip(".")
    if as_json:
        show_json(invocation.out, {"health": health.name, "text": text, "numbers": numbers})
    else:
        performance = " ".join(_performance(numbers))
        # The bar separates the text from the performance data.
        line = f"CONTACTSYNC {health.name}: {text.replace('|', '/')}{f' | {performance}' if performance else ''}"
        invocation.out.out(line, highlight=False)
    return health


def probe(invocation: Invocation, question: Literal["live", "ready"]) -> None:
    """Raise ControlError if no daemon answers, or with the reasons why it is not ready."""
    daemon = live_daemon(invocation.control_socket)
    if daemon is None:
        raise ControlError(f"No daemon listens at {invocation.control_socket}.", hint="Start it: contactsync daemon")
    daemon.get(f"/v1/health/{question}")


def _read(daemon: Daemon) -> tuple[dict[str, float], list[str], list[str]]:
    """Numbers, what needs a user, and why the daemon is not ready."""
    status, installation = daemon.get("/v1/status"), daemon.get("/v1/installation")
    states: Mapping[str, int] = installation["definitions"]
    numbers: dict[str, float] = {"definitions": sum(states.values()), "contacts": installation["contacts"]}
    numbers |= {state: states.get(state, 0) for state in _TO_DECIDE}
    live = status["live"]
    numbers |= {"running": len(status["running"]), "waiting": status["waiting"], "behind": live["behind_seconds"]}
    problems = [f"{states[state]:,} {state} ({_labels(daemon, state)})" for state in _TO_DECIDE if states.get(state)]
    return numbers, problems, list(status["problems"])


def _labels(daemon: Daemon, state: str) -> str:
    page = daemon.get("/v1/definitions", state=state, limit=_LABELS_SHOWN)
    return ", ".join(row["label"] for row in page["definitions"]) + (", ..." if page["next_after"] else "")


def _summary(numbers: Mapping[str, Any]) -> str:
    return f"{counted(numbers['definitions'], 'definition')}, {counted(numbers['contacts'], 'contact')}"


def _performance(numbers: Mapping[str, float]) -> Iterator[str]:
    """The numbers with their limits: more than 0 held, locked, invalid or failing definitions are a warning."""
    for name, number in numbers.items():
        unit = "s" if name == "behind" else ""
        yield f"{name}={number:g}{unit};{0 if name in _TO_DECIDE else ''};;0"
