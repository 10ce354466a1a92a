"""After a refused password: which runs are still made, and what the definition's state says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contactsync.errors import DefinitionLocked, ServerUnavailable
from contactsync.ldap.connection.cache import SessionCache
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.session import Session
from contactsync.model import Outcome, Trigger
from contactsync.sync.runner import Runner
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder


@pytest.fixture
def locked(folder: SyncedFolder) -> SyncedFolder:
    """Give a folder whose password, kept in an environment variable, was refused."""
    folder.edit(password_sealed=None, password_ref="env:READER")
    assert folder.run(runner=runner_with("not it", folder)).error_code == "directory.credentials"
    assert folder.status()["state"] == "locked"
    return folder


def runner_with(password: str, folder: SyncedFolder, **options: Any) -> Runner:
    """A runner whose environment has this password."""
    return folder.runner({"READER": password}, **options)


@pytest.mark.parametrize("trigger", [Trigger.SCHEDULE, Trigger.CATCH_UP, Trigger.EDIT])
def test_a_run_that_was_waiting_already_is_not_made(locked: SyncedFolder, trigger: Trigger) -> None:
    """Whatever was on its way when the password was refused is stopped before it begins, and leaves no row."""
    runs = locked.query("SELECT FROM contactsync.sync_runs")
    with pytest.raises(DefinitionLocked, match="refused the user"):
        locked.runner().run(locked.definition_id, trigger)
    assert locked.query("SELECT FROM contactsync.sync_runs") == runs


def test_a_run_that_gets_in_unlocks_whatever_comes_afterwards(locked: SyncedFolder) -> None:
    """A search that is not complete is another trouble, and no reason to stay away."""
    right = locked.slapd.reader_password
    assert locked.run(runner=runner_with(right, locked, deadline=0.0)).error_code == "run.deadline"
    assert locked.status()["state"] == "locked"
    report = locked.run(runner=runner_with(right, locked, max_message_bytes=64))
    assert report.outcome is Outcome.FAILED
    assert (locked.status()["state"], locked.status()["reason"]) == ("valid", None)


def test_an_edit_during_the_refused_run_counts(folder: SyncedFolder) -> None:
    """What was corrected while the old password was on its way is not locked for the old one."""
    folder.set_password("not it")
    report = folder.run(lambda stage, _counts: folder.edit(filter="(uid=*)") if stage == "connect" else None)
    assert report.error_code == "directory.credentials"
    assert folder.status()["state"] == "valid"


def test_an_attempt_does_not_offer_what_was_refused_since_the_one_before(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """A run that waits to try again hears of what another's password met."""
    waits, goes_on = (make_folder(directory) for _ in range(2))
    for folder in (waits, goes_on):
        folder.set_password("not it")
    attempts: list[ConnectOptions] = []

    class Sessions(SessionCache):
        @contextmanager
        def connect(self, options: ConnectOptions, deadline: Deadline) -> Iterator[Session]:
            attempts.append(options)
            if len(attempts) == 1:
                assert runner.run(goes_on.definition_id, Trigger.SCHEDULE).error_code == "directory.credentials"
                raise ServerUnavailable("The server is away for a moment.")
            with super().connect(options, deadline) as session:
                yield session

    runner = waits.runner(sessions=Sessions(per_server=0, most=0))
    report = runner.run(waits.definition_id, Trigger.SCHEDULE)
    assert (report.error_code, report.attempts) == ("directory.credentials", 1)
    assert len(attempts) == 1 + 1  # one of each
