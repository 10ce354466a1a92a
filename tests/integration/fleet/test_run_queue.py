"""The contract of RunQueue, which the dispatcher and the fleet's queue keep: with one node, and with two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.dispatch.run_queue import RunQueue
from contactsync.errors import AlreadyRunning, DefinitionLocked, NodeClockDiffers
from contactsync.model import RunReport, Trigger
from contactsync.store.embedded.layout import SOCKET_NAME
from contactsync.store.record.fleet import drain_node
from contactsync.testing.ports import LOOPBACK
from tests.support.fleet_queue import Work, fleet_queue, server_of
from tests.support.proxy import Fault, Harm, Proxy
from tests.support.waiting import PATIENCE, wait_until

_AWAIT = """
INSERT INTO contactsync.fleet_messages (from_node, kind, definition_id, job_id, body) VALUES (%s, 'await', 1, %s, %s)
"""


def stored_triggers(database: str, definition_id: int) -> set[str]:
    """The triggers of a definition's waiting job in the queue of a fleet."""
    statement = "SELECT args ->> 'trigger' FROM contactsync_queue.procrastinate_jobs WHERE queueing_lock = %s"
    with psycopg.connect(database) as person:
        rows = person.execute(f"{statement} AND status = 'todo'", [str(definition_id)]).fetchall()
    return {trigger for (trigger,) in rows}


Queues = Callable[[Work], list[RunQueue]]


@pytest.fixture(params=["dispatcher", "fleet of one", "fleet of two"])
def queues(request: pytest.FixtureRequest, queue_database: str) -> Iterator[Queues]:
    """Start the queues whose runs `work` makes: one, or two of a fleet."""
    with ExitStack() as stack:

        def start(work: Work) -> list[RunQueue]:
            if request.param == "dispatcher":
                dispatcher = Dispatcher(work, server_of, workers=4, per_server=2)
                dispatcher.start()
                stack.callback(dispatcher.join, PATIENCE)
                stack.callback(work.open)
                stack.callback(dispatcher.stop)
                return [dispatcher, dispatcher]
            names = ["a"] if request.param == "fleet of one" else ["a", "b"]
            nodes: list[RunQueue] = [stack.enter_context(fleet_queue(queue_database, work, name)) for name in names]
            return [nodes[0], nodes[-1]]

        yield start


def test_requests_of_a_waiting_definition_are_one_run(queues: Queues) -> None:
    """Also if they come through different nodes."""
    first, second = queues(work := Work())
    first.request(1, Trigger.SCHEDULE)
    work.wait_for(1)
    futures = [queue.request(1, Trigger.MANUAL, awaited=True) for queue in (first, second) for _ in range(5)]
    wait_until(lambda: first.waiting == 1, "the requests")
    work.open()
    reports = [future.result(PATIENCE) for future in futures]
    assert {report.run_id for report in reports} == {2}
    assert work.ids == [1, 1]
    assert work.most_of_definition == 1


def test_the_report_is_that_of_a_run_that_starts_after_the_request(queues: Queues) -> None:
    """The run before it may have read the directory already."""
    first, second = queues(work := Work())
    first.request(1, Trigger.SCHEDULE)
    work.wait_for(1)
    answer = second.request(1, Trigger.MANUAL, asked_at=time.monotonic(), awaited=True)
    work.open()
    report = answer.result(PATIENCE)
    assert (report.run_id, report.trigger, report.definition.label) == (2, Trigger.MANUAL, "Staff")


def test_no_server_gets_more_runs_than_its_limit(queues: Queues) -> None:
    """Of all nodes together; definitions of another server do not wait for them."""
    first, second = queues(work := Work())
    for definition_id in range(1, 11):
        (first if definition_id % 2 else second).request(definition_id, Trigger.SCHEDULE)
    wait_until(lambda: first.waiting == 8, lambda: f"eight to wait: {first.waiting}")
    second.request(101, Trigger.SCHEDULE)
    work.wait_for(3)
    assert 101 in work.ids
    work.open()
    work.wait_for(11)
    assert sorted(work.ids) == [*range(1, 11), 101]
    assert work.most_of_server == 2


def test_an_individual_request_precedes_those_of_a_round(queues: Queues, queue_database: str) -> None:
    """It comes last, and is one of the next two of its half of the server: no half waits for the other one."""
    first, second = queues(work := Work())
    for definition_id in range(2, 12):
        first.request(definition_id, Trigger.SCHEDULE)
    wait_until(lambda: first.waiting == 8, "eight to wait")
    second.request(10, Trigger.MANUAL, asked_at=time.monotonic())
    second.request(15, Trigger.MANUAL, asked_at=time.monotonic())
    wait_until(lambda: first.waiting == 9, "nine to wait")
    wait_until(lambda: stored_triggers(queue_database, 10) <= {"manual"}, "the request in place of that of the round")
    work.open()
    work.wait_for(11)
    assert [each for each in work.ids if each % 2 == 0].index(10) <= 2
    assert work.ids.count(10) == 1
    assert next(each for each in work.entered if each.definition_id == 10).trigger is Trigger.MANUAL


def test_a_run_for_the_schedule_and_an_edit_is_one_after_the_edit(queues: Queues, queue_database: str) -> None:
    """Also if the schedule's request came first: a run with trigger `edit` is recorded for each edit."""
    first, second = queues(work := Work())
    first.request(1, Trigger.SCHEDULE)
    work.wait_for(1)
    first.request(1, Trigger.SCHEDULE)
    wait_until(lambda: second.waiting == 1, "the schedule's request")
    second.request(1, Trigger.EDIT, asked_at=time.monotonic())
    wait_until(lambda: stored_triggers(queue_database, 1) <= {"edit"}, "the reason")
    work.open()
    work.wait_for(2)
    assert [each.trigger for each in work.entered] == [Trigger.SCHEDULE, Trigger.EDIT]


def test_an_error_reaches_those_who_wait(queues: Queues) -> None:
    """With its class, code and sentence."""
    _, second = queues(work := Work())
    work.failing.add(1)
    work.open()
    answer = second.request(1, Trigger.MANUAL, awaited=True)
    with pytest.raises(DefinitionLocked, match="Staff is locked") as raised:
        answer.result(PATIENCE)
    assert raised.value.code == DefinitionLocked.code


def test_a_withdrawn_request_is_cancelled(queues: Queues) -> None:
    """Its run is not made."""
    first, second = queues(work := Work())
    first.request(2, Trigger.SCHEDULE)
    work.wait_for(1)
    answer = second.request(2, Trigger.MANUAL, awaited=True)
    wait_until(lambda: first.waiting == 1, "the request")
    first.forget(2)
    with pytest.raises(CancelledError):
        answer.result(PATIENCE)
    work.open()
    wait_until(lambda: not first.is_pending(2), "the end")
    assert work.ids == [2]


def test_pending_is_what_waits_or_runs(queues: Queues) -> None:
    """On any node."""
    first, second = queues(work := Work())
    assert not first.is_pending(1)
    first.request(1, Trigger.SCHEDULE)
    work.wait_for(1)
    assert second.is_pending(1)
    assert first.running | second.running == {1}
    work.open()
    wait_until(lambda: not (first.is_pending(1) or second.is_pending(1)), "the end")
    assert first.alive


def test_a_stopped_queue_starts_nothing_and_ends_what_runs(queues: Queues) -> None:
    """The report of the running one arrives."""
    first, second = queues(work := Work())
    answer = first.request(1, Trigger.SCHEDULE, awaited=True)
    work.wait_for(1)
    first.stop()
    second.stop()
    later = first.request(3, Trigger.SCHEDULE, awaited=True)
    work.open()
    assert first.join(PATIENCE)
    assert second.join(PATIENCE)
    assert later.cancelled()
    assert answer.result(PATIENCE).run_id == 1
    assert work.ids == [1]


def test_a_node_with_another_time_does_not_join(queue_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schedules would run at other times."""
    now = time.time
    monkeypatch.setattr("contactsync.fleet.node.time.time", lambda: now() + 300)
    with (
        pytest.raises(NodeClockDiffers, match=r"is (299|30[0-9]) s ahead of PostgreSQL's"),
        fleet_queue(queue_database, Work(), "late"),
    ):
        pass


def test_an_abandoned_job_is_made_again(queue_database: str) -> None:
    """Its worker is gone, and no node has noticed; the leader looks for such jobs."""
    with fleet_queue(queue_database, work := Work(), "a") as queue, psycopg.connect(queue_database) as person:
        work.open()
        person.execute(
            """
            INSERT INTO contactsync_queue.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status)
            VALUES ('runs', 'run', 'dc1#0', '2', '{"definition_id": 2, "trigger": "schedule"}', 'doing')
            """
        )
        person.commit()
        while not work.ids:
            queue.tend()
            time.sleep(0.05)
        assert work.ids == [2]


@pytest.fixture
def never_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes take jobs only at notifications and at the end of other jobs."""
    monkeypatch.setattr("contactsync.fleet.jobs.worker._POLL_SECONDS", 3600.0)


@pytest.mark.usefixtures("never_polling")
def test_the_end_of_a_run_starts_the_next_one(queue_database: str) -> None:
    """Of its lock or of another one, on one of two nodes that take jobs at the same time."""
    work = Work()
    with fleet_queue(queue_database, work, "a") as first, fleet_queue(queue_database, work, "b") as second:
        numbers = [*range(1, 31), *range(101, 131)]
        for number in numbers:
            (first if number % 3 else second).request(number, Trigger.SCHEDULE)
        wait_until(lambda: first.waiting == len(numbers) - 4, lambda: f"the others to wait: {first.waiting}")
        work.open()
        work.wait_for(len(numbers))
        assert sorted(work.ids) == numbers
        assert work.most_of_server == 2


@pytest.mark.usefixtures("never_polling")
def test_a_node_takes_jobs_at_once_after_an_outage_of_postgresql(queue_database: str) -> None:
    """Also one that was requested while it did not listen, or by a node that makes no runs."""
    target = Path(str(conninfo_to_dict(queue_database)["host"])) / SOCKET_NAME
    with closing(Proxy(target)) as proxy:
        through = make_conninfo(queue_database, host=LOOPBACK, port=proxy.port)
        with (
            fleet_queue(through, work := Work(), "a") as queue,
            fleet_queue(queue_database, Work(), "b") as other,
            psycopg.connect(queue_database, autocommit=True) as person,
        ):
            work.open()
            drain_node(person, "b", draining=True)
            proxy.arm(Fault(Harm.REFUSE, to_server=True))
            wait_until(
                lambda: proxy.struck and not queue.node.lease_seconds and other.node.draining,
                "an outage",
            )
            other.request(1, Trigger.SCHEDULE)
            wait_until(lambda: jobs(queue_database) == {"todo": 1}, "the first request")
            proxy.heal()
            work.wait_for(1)
            other.request(2, Trigger.SCHEDULE)
            work.wait_for(2)


@pytest.mark.usefixtures("never_polling")
def test_a_node_that_drains_announces_what_waits_for_the_server_of_its_last_run(queue_database: str) -> None:
    """Another node, which has nothing to do, takes it at once."""
    work = Work()
    with (
        fleet_queue(queue_database, work, "a") as first,
        fleet_queue(queue_database, work, "b") as second,
        psycopg.connect(queue_database, autocommit=True) as person,
    ):
        first.request(1, Trigger.SCHEDULE)
        work.wait_for(1)
        holder = first if first.running else second
        first.request(3, Trigger.SCHEDULE)
        wait_until(lambda: first.waiting == 1, "the second request")
        drain_node(person, holder.node.identity.name, draining=True)
        wait_until(lambda: holder.node.draining, "the drain")
        work.open()
        work.wait_for(2)


@pytest.mark.usefixtures("never_polling")
def test_a_node_that_stops_gives_a_taken_run_to_another(queue_database: str) -> None:
    """It stops while PostgreSQL ends one job and gives it the next."""
    work = Work()
    with (
        fleet_queue(queue_database, work, "a") as first,
        fleet_queue(queue_database, work, "b") as second,
        psycopg.connect(queue_database) as person,
    ):
        first.request(1, Trigger.SCHEDULE)
        work.wait_for(1)
        holder = first if first.running else second
        first.request(3, Trigger.SCHEDULE)
        wait_until(lambda: first.waiting == 1, "the second request")
        person.execute("LOCK TABLE contactsync_queue.procrastinate_jobs IN SHARE MODE")
        work.open()
        waits = "SELECT FROM pg_locks WHERE relation = 'contactsync_queue.procrastinate_jobs'::regclass AND NOT granted"
        wait_until(lambda: person.execute(waits).fetchone() is not None, "the end of the job")
        holder.stop()
        person.commit()
        work.wait_for(2)
        assert holder.join(PATIENCE)
        assert work.ids == [1, 3]


@pytest.mark.usefixtures("never_polling")
@pytest.mark.parametrize("way", ["stop", "drain"])
def test_a_node_that_stops_begins_no_run_that_it_takes_late(queue_database: str, way: str) -> None:
    """It stops or drains while PostgreSQL gives it a job, and another node makes the run."""
    late, other = Work(), Work()
    with (
        fleet_queue(queue_database, late, "a") as queue,
        psycopg.connect(queue_database) as person,
        psycopg.connect(queue_database, autocommit=True) as announcer,
    ):
        person.execute("SET search_path TO contactsync_queue")
        person.execute("LOCK TABLE procrastinate_jobs IN EXCLUSIVE MODE")
        person.execute(
            """
            INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
            VALUES ('runs', 'run', 'dc1#0', '2', '{"definition_id": 2, "trigger": "schedule"}')
            """
        )
        payload = '{"type": "job_inserted", "job_id": 0}'
        waits = "SELECT FROM pg_locks WHERE relation = 'contactsync_queue.procrastinate_jobs'::regclass AND NOT granted"

        def takes() -> bool:
            announcer.execute("SELECT pg_notify('procrastinate_queue_v1#runs', %s)", [payload])
            return announcer.execute(waits).fetchone() is not None

        wait_until(takes, "the node to take a job")
        if way == "stop":
            queue.stop()
            assert queue.join(PATIENCE)
        else:
            drain_node(announcer, "a", draining=True)
            wait_until(lambda: queue.node.draining, "the drain")
        person.commit()
        with fleet_queue(queue_database, other, "b"):
            other.wait_for(1)
        assert (late.ids, other.ids) == ([], [2])


def test_requests_through_a_node_that_has_not_read_the_definitions_count_too(queue_database: str) -> None:
    """No server gets more runs than its limit, also if it requests the runs of a node again that died."""
    work = Work()
    with (
        fleet_queue(queue_database, work, "new", has_read=False) as new,
        fleet_queue(queue_database, work, "old") as old,
    ):
        for definition_id in range(1, 9):
            (old if definition_id in {3, 4} else new).request(definition_id, Trigger.SCHEDULE)
        wait_until(lambda: new.waiting == 6, lambda: f"six to wait: {new.waiting}")
        new.request(8, Trigger.MANUAL, asked_at=time.monotonic())
        wait_until(lambda: stored_triggers(queue_database, 8) <= {"manual"}, "the request of a user")
        work.open()
        work.wait_for(8)
    assert work.most_of_server == 2


def test_a_waiting_run_is_one_of_the_server_that_its_definition_has_after_an_edit(queue_database: str) -> None:
    """Although the request after the edit is no better than the one before it."""
    servers = {1: "dc1", 3: "dc1"}
    with fleet_queue(queue_database, work := Work(), "a", server_of=servers.__getitem__) as queue:
        queue.request(1, Trigger.SCHEDULE)
        work.wait_for(1)
        queue.request(3, Trigger.EDIT)
        wait_until(lambda: queue.waiting == 1, "a run that waits for the other one of its slot")
        servers[3] = "dc2"
        queue.request(3, Trigger.EDIT)
        work.wait_for(2)


def jobs(database: str) -> dict[str, int]:
    """The number of jobs by their state."""
    statement = "SELECT status::text, count(*) FROM contactsync_queue.procrastinate_jobs GROUP BY 1"
    with psycopg.connect(database) as person:
        return dict(person.execute(statement).fetchall())


def awaiting(database: str) -> int:
    """The number of messages that await a run."""
    with psycopg.connect(database) as person:
        ((number,),) = person.execute("SELECT count(*) FROM contactsync.fleet_messages WHERE kind = 'await'").fetchall()
    return int(number)


@pytest.mark.parametrize("alone", [True, False])
def test_a_run_for_all_folders_does_not_answer_a_request_for_one(queue_database: str, *, alone: bool) -> None:
    """It was taken before the request was stored, and would not offer a password again that was refused."""
    with (
        psycopg.connect(queue_database, autocommit=True) as person,
        fleet_queue(queue_database, work := Work(), "a") as queue,
    ):
        work.open()
        asked_at = time.monotonic()
        body = Jsonb({"asked": queue.node.database_time(asked_at)}) if alone else None
        person.execute(_AWAIT, [queue.node.node_id, None, body])
        queue.request(1, Trigger.SCHEDULE)
        wait_until(lambda: work.ids == [1] and not jobs(queue_database), "the end of the run")
        assert awaiting(queue_database) == int(alone)
        queue.request(1, Trigger.MANUAL, asked_at=time.monotonic())
        wait_until(lambda: not awaiting(queue_database) and not jobs(queue_database), "the answer")


def test_a_run_answers_who_awaits_one_that_is_gone(queue_database: str) -> None:
    """PostgreSQL was not available when its node was to answer, or to leave the run to another node."""
    with (
        psycopg.connect(queue_database, autocommit=True) as person,
        fleet_queue(queue_database, work := Work(), "a") as queue,
    ):
        work.open()
        person.execute(_AWAIT, [queue.node.node_id, 0, None])
        queue.request(1, Trigger.SCHEDULE)
        wait_until(lambda: not awaiting(queue_database), "the answer")


def test_a_node_that_stops_leaves_to_others_what_it_was_to_run_later(queue_database: str) -> None:
    """A command makes a run of the definition, so that the node tries again after a pause that grows."""

    class Busy(Work):
        def __call__(self, request: RunRequest) -> RunReport:
            super().__call__(request)
            raise AlreadyRunning("A command runs it.")

    with fleet_queue(queue_database, busy := Busy(), "a") as queue:
        busy.open()
        queue.request(1, Trigger.SCHEDULE)
        busy.wait_for(3)
        wait_until(lambda: not jobs(queue_database), "the pause")
    assert jobs(queue_database) == {"todo": 1}


def test_a_request_after_the_end_is_nothing(queue_database: str) -> None:
    """Such as that of a run that was to be made again later."""
    with fleet_queue(queue_database, work := Work(), "a") as queue:
        pass
    queue.request(1, Trigger.SCHEDULE)
    assert work.ids == []
