"""When the daemon counts as stuck, and the line about its folders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contactsync.service.systemd import FolderHealth, Part, status_line, troubles


def test_a_part_that_owes_nothing_is_no_trouble_however_long_it_works() -> None:
    """A run within its deadline owes no sign of progress."""
    assert troubles([Part(name="a worker", alive=True, silent_seconds=-5000, allowed_seconds=900)]) == []


def test_a_part_may_owe_a_sign_for_as_long_as_it_is_allowed() -> None:
    """The limit itself still counts as well."""
    assert troubles([Part(name="the watch", alive=True, silent_seconds=900, allowed_seconds=900)]) == []


def test_a_part_that_ended_and_one_that_is_stuck_are_both_named() -> None:
    """The sound one between them is not."""
    found = troubles(
        [
            Part(name="a worker", alive=False),
            Part(name="the watch", alive=True),
            Part(name="the scheduler", alive=True, silent_seconds=61.2, allowed_seconds=60),
        ]
    )
    assert found == ["a worker ended", "the scheduler has been stuck for 61 seconds"]


def test_the_status_counts_folders_and_says_why_one_fails() -> None:
    """The good news first, the reason in few words, the next run by the clock on the wall."""
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=7, microsecond=0)
    health = [
        FolderHealth("ok", 4, "Everyone", None, noon),
        FolderHealth("failing", 1, "Staff", "directory.credentials", noon),
    ]
    assert status_line(health, running=0) == (
        "4 folders ok, 1 failing (Staff: user or password refused), next run 12:00:07"
    )


def test_an_error_code_that_says_more_is_put_in_words_as_well() -> None:
    """Active Directory's own reasons where there are words for them, else what they have in common."""
    expired = FolderHealth("locked", 1, "Staff", "directory.credentials.532", None)
    wrong = FolderHealth("locked", 1, "Staff", "directory.credentials.52e", None)
    assert status_line([expired], running=0) == "1 folder locked (Staff: password expired)"
    assert status_line([wrong], running=0) == "1 folder locked (Staff: user or password refused)"


def test_the_status_names_one_of_several_and_what_is_going_on() -> None:
    """An error without a phrase of its own is shown as its code; a day that is not today with its date."""
    next_month = datetime.now(UTC) + timedelta(days=31)
    health = [FolderHealth("failing", 1200, "anna/Private", "database.conflict", next_month)]
    assert status_line(health, running=2) == (
        "1,200 folders failing (anna/Private: database.conflict and others), 2 runs going on, "
        f"next run {next_month.astimezone():%Y-%m-%d %H:%M:%S}"
    )


def test_a_status_without_folders_or_schedules_says_so() -> None:
    """Nothing is invented."""
    assert status_line([], running=0) == "No folder is defined yet"
    assert status_line([FolderHealth("paused", 1, "Staff", None, None)], running=1) == (
        "1 folder paused, 1 run going on"
    )
