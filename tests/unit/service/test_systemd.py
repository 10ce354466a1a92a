"""When a part of the daemon is stuck, and the line of `systemctl status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contactsync.service.systemd import FolderHealth, Part, status_line, troubles


@pytest.mark.parametrize("silent_seconds", [-5000, 0, 900])
def test_a_part_within_its_limit_is_no_trouble(silent_seconds: float) -> None:
    """Neither while no progress is due, nor up to the limit."""
    assert troubles([Part(name="the watch", alive=True, silent_seconds=silent_seconds, allowed_seconds=900)]) == []


def test_parts_that_ended_or_are_stuck_are_named() -> None:
    """The healthy part between them is not."""
    parts = [
        Part(name="a worker", alive=False),
        Part(name="the watch", alive=True),
        Part(name="the scheduler", alive=True, silent_seconds=61.2, allowed_seconds=60),
    ]
    assert troubles(parts) == ["a worker ended", "the scheduler has been stuck for 61 seconds"]


def test_the_status_counts_folders_by_state_with_the_reason() -> None:
    """The healthy folders first; the next run in local time."""
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=7, microsecond=0)
    health = [
        FolderHealth("ok", 4, "Everyone", None, noon),
        FolderHealth("failing", 1, "Staff", "directory.credentials", noon),
    ]
    assert status_line(health, running=0) == (
        "4 folders ok, 1 failing (Staff: user or password refused), next run 12:00:07"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("directory.credentials.532", "password expired"),
        ("directory.credentials.52e", "user or password refused"),
        ("database.conflict", "database.conflict"),
    ],
)
def test_an_error_code_in_words(code: str, words: str) -> None:
    """By Active Directory's own reason if there are words for it, else by the general code, else unchanged."""
    assert (
        status_line([FolderHealth("locked", 1, "Staff", code, None)], running=0) == f"1 folder locked (Staff: {words})"
    )


def test_the_status_names_one_of_several_folders() -> None:
    """A run on another day is shown with its date."""
    next_month = datetime.now(UTC) + timedelta(days=31)
    health = [FolderHealth("failing", 1200, "anna/Private", "database.conflict", next_month)]
    assert status_line(health, running=2) == (
        "1,200 folders failing (anna/Private: database.conflict and others), 2 runs in progress, "
        f"next run {next_month.astimezone():%Y-%m-%d %H:%M:%S}"
    )


def test_a_status_without_folders_or_schedules() -> None:
    """It has only what there is."""
    assert status_line([], running=0) == "No folder is defined yet"
    assert status_line([FolderHealth("never_run", 1, "Staff", None, None)], running=1) == (
        "1 folder never run, 1 run in progress"
    )
