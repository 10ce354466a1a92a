"""How recorded runs are shown."""

from __future__ import annotations

from typing import Any

from contactsync.cli.output.render import NOTHING, ago

RUN_COLUMNS = ("Folder", "Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUN_NUMBERS = ("Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUN_STYLES = {"held": "yellow", "failed": "red", "interrupted": "yellow", "cancelled": "yellow", "running": "bold"}

_NOT_FOR_SCRIPTS = frozenset({"search_references"})


def run_cells(run: dict[str, Any]) -> tuple[str, ...]:
    """A row of `sync_runs` under RUN_COLUMNS."""
    return (
        run["definition"],
        ago(run["started_at"]),
        run["outcome"] or "running",
        f"{run['entries']:,}",
        f"{run['inserted']:,}",
        f"{run['updated']:,}",
        f"{run['deleted']:,}",
        f"{run['rejected']:,}",
        f"{sum(run['seconds'].values()):.1f}" if run["outcome"] else NOTHING,
    )


def run_document(run: dict[str, Any]) -> dict[str, Any]:
    """The row for scripts; `outcome` is null while it runs, `seconds` has one number for each stage."""
    document = {name: value for name, value in run.items() if name not in _NOT_FOR_SCRIPTS}
    return document | {"references": run["search_references"]}
