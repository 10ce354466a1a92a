"""After a refused password: which runs are still made, and the state of the definition."""

from __future__ import annotations

import socket
import time
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
from contactsync.store.pool import connection_of, open_pool
from contactsync.sync.definition import resolve
from contactsync.sync.runner import Runner
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder


@pytest.fixture
def locked(folder: SyncedFolder) -> SyncedFolder:
    """Give a folder whose password, stored in an environment variable, was refused."""
    folder.edit(password_sealed=None, password_ref="env:READER")
    assert folder.run(runner=runner_with("not it", folder)).error_code == "directory.credentials"
    assert folder.status()["state"] == "locked"
    return folder


def runner_with(password: str, folder: SyncedFolder, **options: Any) -> Runner:
    """A runner with this password in its environment."""
    return folder.runner({"READER": password}, **options)


@pytest.mark.parametrize("trigger", [Trigger.SCHEDULE, Trigger.CATCH_UP, Trigger.EDIT])
def test_a_waiting_run_is_not_made(locked: SyncedFolder, trigger: Trigger) -> None:
    """A run that was requested before the refusal does not start, and leaves no row."""
    runs = locked.query("SELECT FROM contactsync.sync_runs")
    with pytest.raises(DefinitionLocked, match="refused the user"):
        locked.runner().run(locked.definition_id, trigger)
    assert locked.query("SELECT FROM contactsync.sync_runs") == runs


def test_an_accepted_password_unlocks_whatever_follows(locked: SyncedFolder) -> None:
    """An incomplete search is another error and does not lock."""
    right = locked.slapd.reader_password
    assert locked.run(runner=runner_with(right, locked, deadline=0.0)).error_code == "run.deadline"
    assert locked.status()["state"] == "locked"
    report = locked.run(runner=runner_with(right, locked, max_message_bytes=64))
    assert report.outcome is Outcome.FAILED
    assert (locked.status()["state"], locked.status()["reason"]) == ("valid", None)


def test_an_edit_during_the_refused_run_counts(folder: SyncedFolder) -> None:
    """A definition that was corrected meanwhile is not locked for its old password."""
    folder.set_password("not it")
    report = folder.run(lambda stage, _counts: folder.edit(filter="(uid=*)") if stage == "connect" else None)
    assert report.error_code == "directory.credentials"
    assert folder.status()["state"] == "valid"


def test_a_retry_does_not_offer_a_password_that_was_refused_meanwhile(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """Another definition's run has offered it during the pause."""
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


def test_a_password_that_was_refused_after_another_one_was_accepted_is_not_offered_again(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """It is changed while a user's run reads: the first attempt is accepted, and the second one refused."""
    asked, scheduled = (make_folder(directory) for _ in range(2))
    for folder in (asked, scheduled):
        folder.edit(password_sealed=None, password_ref="env:READER")
    environ = {"READER": directory.reader_password}
    attempts: list[ConnectOptions] = []

    class Sessions(SessionCache):
        @contextmanager
        def connect(self, options: ConnectOptions, deadline: Deadline) -> Iterator[Session]:
            attempts.append(options)
            with super().connect(options, deadline) as session:
                environ["READER"] = "not it"
                session.wire.socket.shutdown(socket.SHUT_RDWR)
                yield session

    runner = asked.runner(environ, sessions=Sessions(per_server=0, most=0))
    report = runner.run(asked.definition_id, Trigger.MANUAL, asked_at=time.monotonic())
    assert (report.error_code, report.attempts) == ("directory.credentials", 2)
    report = runner.run(scheduled.definition_id, Trigger.SCHEDULE)
    assert "with the same password before" in (report.error or "")
    assert len(attempts) == 2


def test_to_listen_needs_no_connection_to_postgresql(folder: SyncedFolder, shared_database: str) -> None:
    """A directory that does not answer would keep it from the runs of others."""
    with (
        open_pool(shared_database, max_size=1, timeout=1) as pool,
        connection_of(pool),
        Runner(pool, folder.passwords, BRISK).listening(resolve(folder.definition)) as session,
    ):
        assert session.user
