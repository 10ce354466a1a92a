"""What people want to know of a definition at a glance, out of a row of `definition_overview`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a definition does; the first that fits."""

    INVALID = "invalid"
    PAUSED = "paused"
    LOCKED = "locked"
    NEVER_RUN = "never run"
    OK = "ok"
    HELD = "held"
    FAILING = "failing"
    INTERRUPTED = "interrupted"


STYLES = {
    State.INVALID: "red",
    State.LOCKED: "red",
    State.FAILING: "red",
    State.HELD: "yellow",
    State.INTERRUPTED: "yellow",
    State.OK: "green",
}

_BY_OUTCOME = {
    None: State.NEVER_RUN,
    "unchanged": State.OK,
    "changed": State.OK,
    "held": State.HELD,
    "failed": State.FAILING,
    "interrupted": State.INTERRUPTED,
    "cancelled": State.INTERRUPTED,
}


def state_of(row: dict[str, Any]) -> State:
    """The state of the definition that this row of `definition_overview` is about."""
    if row["state"] == "invalid":
        return State.INVALID
    if not row["enabled"]:
        return State.PAUSED
    if row["state"] == "locked":
        return State.LOCKED
    return _BY_OUTCOME[row["last_outcome"]]


def as_document(row: dict[str, Any]) -> dict[str, Any]:
    """The row for scripts."""
    return {
        "label": row["label"],
        "folder": row["folder"],
        "owner": row["owner"],
        "definition": row["definition"],
        "folder_id": row["folder_id"],
        "definition_id": row["definition_id"],
        "state": state_of(row),
        "reason": row["reason"],
        "contacts": row["contacts"],
        "query": row["query"],
        "user": row["bind_user"],
        "schedule": row["schedule"],
        "time_zone": row["time_zone"],
        "enabled": row["enabled"],
        "last_run_id": row["last_run_id"],
        "last_outcome": row["last_outcome"],
        "last_started_at": row["last_started_at"],
        "last_success_at": row["last_success_at"],
        "next_run_at": row["next_run_at"],
    }
