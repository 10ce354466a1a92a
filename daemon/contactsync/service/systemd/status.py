"""The line of `systemctl status`: how many folders are in which state, and when the next run is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contactsync.text import counted

_REASONS = {
    "directory.access": "access refused",
    "directory.base": "search base not found",
    "directory.busy": "server busy",
    "directory.certificate": "certificate refused",
    "directory.credentials": "user or password refused",
    "directory.credentials.532": "password expired",
    "directory.credentials.533": "account disabled",
    "directory.credentials.701": "account expired",
    "directory.credentials.773": "password must be changed",
    "directory.credentials.775": "account locked out",
    "directory.dns": "server not found",
    "directory.filter": "filter refused",
    "directory.incomplete": "search not complete",
    "directory.not_synchronized": "server not synchronized",
    "directory.timeout": "no answer in time",
    "directory.unavailable": "server unavailable",
    "run.deadline": "deadline exceeded",
    "secret": "password not readable",
}
"""By error code; other errors are shown as their code."""


@dataclass(frozen=True, slots=True)
class FolderHealth:
    """The number of folders in one state, by the worst state of their definitions, and the label of one of them."""

    state: str
    folders: int
    label: str
    error_code: str | None
    next_run_at: datetime | None
    """When the next run of any definition is due; the same in all rows."""


def status_line(health: Sequence[FolderHealth], *, running: int) -> str:
    """`4 folders ok, 1 failing (Staff: server unavailable), 2 runs in progress, next run 17:32:10`, in local time."""
    if not health:
        return "No folder is defined yet"
    first, *others = health
    clauses = [f"{counted(first.folders, 'folder')} {_state(first)}"]
    clauses += [f"{row.folders:,} {_state(row)}" for row in others]
    if running:
        clauses.append(f"{counted(running, 'run')} in progress")
    if first.next_run_at:
        clauses.append(f"next run {_clock(first.next_run_at)}")
    return ", ".join(clauses)


def _state(row: FolderHealth) -> str:
    if row.state in {"ok", "paused", "never_run", "interrupted"}:
        return row.state.replace("_", " ")
    reason = f": {_reason(row.error_code)}" if row.error_code else ""
    more = " and others" if row.folders > 1 else ""
    return f"{row.state} ({row.label}{reason}{more})"


def _reason(code: str) -> str:
    """The words for a code, or for its first two parts: servers add a third, as in `directory.credentials.52e`."""
    return _REASONS.get(code) or _REASONS.get(".".join(code.split(".")[:2]), code)


def _clock(time: datetime) -> str:
    local = time.astimezone()
    today = datetime.now(local.tzinfo).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"
