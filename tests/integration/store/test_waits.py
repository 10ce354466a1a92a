"""PostgreSQL keeps contactsync waiting. The daemon's part is in tests/acceptance/test_daemon_waits.py."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest

from contactsync.store.session import connect
from contactsync.store.waits import WaitWatch
from tests.support.folder import captured_log
from tests.support.waiting import wait_until


@pytest.fixture
def watching(database: str) -> Iterator[WaitWatch]:
    """Run a watch that is quick to report."""
    watch = WaitWatch(database, wait_seconds=0, answer_seconds=0.2)
    watch.start()
    yield watch
    watch.stop()


def test_a_lock_is_named_with_the_session_that_holds_it(database: str, watching: WaitWatch) -> None:
    """The session waits as long as its lock_timeout allows."""
    with psycopg.connect(database) as holder, connect(database, application_name="contactsync") as waiting:
        holder.execute("LOCK contactsync.contacts")
        waiting.execute("SET lock_timeout = 0")
        reading = threading.Thread(target=waiting.execute, args=["TABLE contactsync.contacts"])
        reading.start()
        reason = f"contactsync waits for a lock of PostgreSQL's process {holder.info.backend_pid}"
        wait_until(lambda: watching.problem == reason and watching.waiting == 1, lambda: f"{watching.problem}")
        holder.rollback()
        reading.join()
    wait_until(lambda: watching.problem is None, "the end of the wait")


def test_a_server_that_does_not_answer_is_logged_once(
    connection: psycopg.Connection[tuple[int]], watching: WaitWatch
) -> None:
    """A stopped process accepts what is sent, and never answers."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'contactsync-waits' AND datname = %s"
    name = [connection.info.dbname]
    (pid,) = wait_until(lambda: connection.execute(query, name).fetchone(), "the watch's session")
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: watching.problem, "the silence")
        assert "has not answered for" in (watching.problem or "")
        with captured_log() as lines:
            watching.log_silence()
            watching.log_silence()
        assert len([line for line in lines if "database.silent" in line]) == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: watching.problem is None, "an answer")
