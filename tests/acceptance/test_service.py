"""The daemon under a service manager, whose socket the test provides."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import Person, define, outcomes
from tests.support.notify_socket import NotifySocket
from tests.support.peers import silent_server
from tests.support.postgres import FragilePostgres
from tests.support.waiting import wait_until

WATCHDOG = {"WATCHDOG_USEC": "400000"}


@pytest.fixture
def told(short_path: Path) -> Iterator[NotifySocket]:
    """Listen as the service manager does."""
    with NotifySocket(short_path) as told:
        yield told


@pytest.fixture
def make_service(make_daemon: Callable[..., Any], told: NotifySocket, slapd: PrivateSlapd) -> Callable[..., Any]:
    """Make daemons with the service manager's socket and the directory's password."""

    def make(database: str, **environ: str) -> Any:
        return make_daemon(database, NOTIFY_SOCKET=told.name, READER=slapd.reader_password, **environ)

    return make


@pytest.fixture
def add(person: Person, slapd: PrivateSlapd) -> Callable[..., int]:
    """Add a folder and its definition, and give the definition's id."""
    return partial(define, person, slapd)


def test_ready_comes_only_when_the_daemon_can_work(
    make_service: Callable[..., Any], told: NotifySocket, short_path: Path
) -> None:
    """Not while PostgreSQL is down: then it asks for more time. When it is ready, it listens for edits."""
    with FragilePostgres(short_path / "state") as postgres:
        postgres.crash()
        daemon = make_service(postgres.conninfo, **WATCHDOG)
        daemon.launch()
        wait_until(lambda: daemon.events("database.unavailable"), "the daemon to try")
        asked = told.count("EXTEND_TIMEOUT_USEC=60000000")
        wait_until(lambda: told.count("EXTEND_TIMEOUT_USEC=60000000") > asked + 2, "more time to be asked for")
        assert told.count("READY=1") == 0
        assert told.status() == "Opening the database"
        postgres.start()
        wait_until(lambda: told.count("READY=1"), "the daemon to be ready")
        assert told.status() == "No folder is defined yet"
        with psycopg.connect(postgres.conninfo) as person:
            listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'contactsync-watch'"
            assert person.execute(listening).fetchone() == (1,)
        assert daemon.stop() == 0


def test_what_is_defined_already_is_scheduled_when_ready_comes(
    make_service: Callable[..., Any], told: NotifySocket, database: str, add: Callable[..., int]
) -> None:
    """The first status counts the folder. The time of the next run follows, if the first run has the row just then."""
    add()
    make_service(database).launch()
    (ready,) = wait_until(lambda: [message for message in told.messages() if "READY=1" in message], "the daemon")
    assert ready[1].startswith("STATUS=1 folder ")
    wait_until(lambda: ", next run " in told.status(), "the time of the next run")


def test_the_status_says_how_the_folders_do(
    make_service: Callable[..., Any], told: NotifySocket, database: str, add: Callable[..., int]
) -> None:
    """It changes with the state of the folders."""
    make_service(database, CONTACTSYNC_DIRECTORY__RETRY_ATTEMPTS="1").start()
    add(allow_empty=True)
    add("Gone", query="127.0.0.1:1")
    add("Wrong", bind_user="cn=nobody,dc=example,dc=test")
    expected = "1 folder ok, 1 locked (Wrong: user or password refused), 1 failing (Gone: server unavailable)"
    wait_until(lambda: told.status().startswith(expected), f"a status like {expected}")
    assert ", next run " in told.status()


def test_a_database_that_goes_away_shows_in_the_status(
    make_service: Callable[..., Any], told: NotifySocket, short_path: Path
) -> None:
    """And its return shows too; meanwhile the daemon runs on and feeds the watchdog."""
    with FragilePostgres(short_path / "state") as postgres:
        daemon = make_service(postgres.conninfo, **WATCHDOG)
        daemon.start()
        postgres.crash()
        wait_until(lambda: told.status() == "Waiting for the database", "the loss to show")
        fed = told.count("WATCHDOG=1")
        wait_until(lambda: told.count("WATCHDOG=1") > fed + 2, "watchdog messages meanwhile")
        postgres.start()
        wait_until(lambda: told.status() == "No folder is defined yet", "the return to show")
        assert daemon.stop() == 0


def test_the_watchdog_is_fed_through_a_run_that_waits_for_a_frozen_directory(
    make_service: Callable[..., Any], told: NotifySocket, database: str, add: Callable[..., int], person: Person
) -> None:
    """However long a run takes within its deadline."""
    daemon = make_service(database, **WATCHDOG)
    daemon.start()
    with silent_server() as port:
        frozen = add(query=f"127.0.0.1:{port}", base="dc=x")
        wait_until(lambda: outcomes(person, frozen) == [None], "the run to begin")
        fed = told.count("WATCHDOG=1")
        wait_until(lambda: told.count("WATCHDOG=1") > fed + 5, "watchdog messages during the run")
        assert outcomes(person, frozen) == [None]
        wait_until(lambda: "1 run in progress" in told.status(), "the run in the status")
        assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_announced_and_asks_for_the_time_it_takes(
    make_service: Callable[..., Any], told: NotifySocket, database: str, number: int
) -> None:
    """STOPPING comes after READY and asks for more time than TimeoutStopSec= gives; the exit code is 0."""
    daemon = make_service(database)
    daemon.start()
    assert daemon.stop(number) == 0
    lines = told.lines()
    assert lines.index("READY=1") < lines.index("STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=60000000" in lines[lines.index("STOPPING=1") :]
    assert told.status() == "Stopping"


def test_a_daemon_that_is_stopped_before_it_was_ready_never_says_that_it_is(
    make_service: Callable[..., Any], told: NotifySocket
) -> None:
    """Without a database it has nothing to stop, and ends at once with exit code 0."""
    daemon = make_service("host=127.0.0.1 port=1 dbname=nothing")
    daemon.launch()
    wait_until(lambda: daemon.events("database.unavailable"), "the daemon to try")
    assert daemon.stop() == 0
    assert told.count("READY=1") == 0
