"""The runs that the schedule requests after edits."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import pytest

from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.dispatch.scheduler import Schedule
from contactsync.errors import DatabaseUnavailable
from contactsync.model import RunReport, Trigger
from contactsync.store.pool import Pool
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import RARE
from tests.support.folder import SyncedFolder

EDITED = 20


@pytest.fixture
def requests() -> queue.Queue[RunRequest]:
    """The requests that reached a worker."""
    return queue.Queue()


@pytest.fixture
def schedule(pool: Pool, requests: queue.Queue[RunRequest]) -> Iterator[Schedule]:
    """Give a schedule whose worker takes each request at once and makes no run."""

    def work(request: RunRequest) -> RunReport:
        requests.put(request)
        raise AssertionError

    dispatcher = Dispatcher(work, lambda _key: "", workers=1, per_server=1)
    dispatcher.start()
    yield Schedule(pool, dispatcher)
    dispatcher.stop()
    assert dispatcher.join(5)


def test_one_edit_of_many_definitions_was_made_at_one_time(
    schedule: Schedule,
    requests: queue.Queue[RunRequest],
    make_folder: Callable[..., SyncedFolder],
    directory: PrivateSlapd,
) -> None:
    """So a password that is refused to the first of them counts as refused for the others."""
    folder = make_folder(directory)
    ids = {folder.define(directory.port, name=f"{number}", schedule=RARE) for number in range(EDITED)}
    schedule.follow(ids)
    for _ in ids:
        requests.get(timeout=30)
    folder.query(
        "UPDATE contactsync.sync_definitions SET filter = '(uid=*)' WHERE definition_id = ANY (%s) RETURNING 1", [*ids]
    )
    schedule.follow(ids)
    edits = [requests.get(timeout=30) for _ in ids]
    assert {request.trigger for request in edits} == {Trigger.EDIT}
    assert {request.definition_id for request in edits} == ids
    assert len({request.asked_at for request in edits}) == 1


def test_a_definition_is_scheduled_although_live_folders_cannot_be_followed(
    pool: Pool, make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """They are read again from the table, which may fail at that moment; the error reaches the watch."""

    def fail() -> None:
        raise DatabaseUnavailable("It is gone.")

    definition_id = make_folder(directory).define(directory.port, name="scheduled", schedule=RARE)
    schedule = Schedule(pool, Dispatcher(_never, lambda _key: "", workers=1, per_server=1), fail)
    with pytest.raises(DatabaseUnavailable):
        schedule.follow([definition_id])
    due = schedule.first_due()
    assert due is not None
    assert due[0].definition_id == definition_id


def test_a_daemon_that_could_not_read_the_definitions_does_not_lead_yet(
    pool: Pool, make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """It tries again; the definitions would not be scheduled until each is edited."""
    readable = [True]

    def read() -> None:
        if not readable.pop():
            raise DatabaseUnavailable("It is gone.")

    definition_id = make_folder(directory).define(directory.port, name="led", schedule=RARE)
    schedule = Schedule(pool, Dispatcher(_never, lambda _key: "", workers=1, per_server=1), read, leads=False)
    schedule.follow([definition_id])
    readable += [True, False]
    with pytest.raises(DatabaseUnavailable):
        schedule.lead(leads=True)
    assert not schedule.leads
    schedule.lead(leads=True)
    assert schedule.leads
    assert schedule.first_due()


def _never(_request: RunRequest) -> RunReport:
    raise AssertionError


def test_an_edit_is_run_although_a_run_that_waited_has_locked_the_definition_again(
    schedule: Schedule,
    requests: queue.Queue[RunRequest],
    make_folder: Callable[..., SyncedFolder],
    directory: PrivateSlapd,
) -> None:
    """An edit unlocks. A scheduled run that starts before the edit is followed finds the password refused before."""
    folder = make_folder(directory)
    definition_id = folder.define(directory.port, name="refused", schedule=RARE)
    schedule.follow([definition_id])
    requests.get(timeout=30)
    folder.query(
        "UPDATE contactsync.sync_definitions SET filter = '(uid=*)' WHERE definition_id = %s RETURNING 1", definition_id
    )
    folder.query(
        "UPDATE contactsync.sync_status SET state = 'locked', reason = 'Refused.' WHERE definition_id = %s RETURNING 1",
        definition_id,
    )
    schedule.follow([definition_id])
    assert requests.get(timeout=30).trigger is Trigger.EDIT
    assert schedule.first_due() is None
