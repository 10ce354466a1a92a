"""Words that several operations share."""

from __future__ import annotations

from datetime import datetime

_HOW = {
    "schedule": "by its schedule",
    "catch-up": "because it was due",
    "edit": "after an edit of the definition",
    "manual": "by hand",
    "request": "on request",
    "undo": "to take another run back",
}


def moment(at: datetime) -> str:
    """A time as people here read it: `2026-11-23 17:20 CET`."""
    return f"{at.astimezone():%Y-%m-%d %H:%M %Z}"


def run_words(run_id: int, trigger: str, at: datetime) -> str:
    """A run in a sentence: `run 12 (by its schedule, 2026-11-23 17:20 CET)`."""
    return f"run {run_id} ({_HOW.get(trigger, trigger)}, {moment(at)})"
