"""Passwords that nodes offer to directories, each by one of them at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from contactsync.credentials.refused import Refusals
from contactsync.errors import DeadlineExceeded
from contactsync.fleet.refusals import FleetRefusals
from contactsync.ldap.connection.deadline import Deadline
from contactsync.store.pool import connection_of, open_pool
from tests.support.fleet_queue import Work, fleet_queue
from tests.support.waiting import PATIENCE, wait_until

_CONNECTIONS = 9


def test_live_folders_leave_connections_to_runs_while_a_directory_decides(queue_database: str) -> None:
    """They have none of their own. Each of these has another user, so that none waits for the others."""
    decided, offered = threading.Event(), set()
    with (
        fleet_queue(queue_database, Work(), "a") as queue,
        open_pool(queue_database, max_size=_CONNECTIONS, timeout=2) as pool,
        ThreadPoolExecutor(2 * _CONNECTIONS) as threads,
    ):
        refusals = FleetRefusals(pool, b"key", queue.node)

        def offer(number: int) -> None:
            with refusals.offering(None, ("dc", f"user {number}", "secret"), Deadline(PATIENCE)):
                offered.add(number)
                assert decided.wait(PATIENCE)

        offers = [threads.submit(offer, number) for number in range(2 * _CONNECTIONS)]
        try:
            wait_until(lambda: offered, "an offer")
            with connection_of(pool) as connection:
                connection.execute("SELECT")
        finally:
            decided.set()
        for each in offers:
            each.result()
    assert offered == set(range(2 * _CONNECTIONS))


@pytest.mark.parametrize("shared", [False, True])
def test_an_offer_that_waited_for_a_silent_directory_says_so(queue_database: str, *, shared: bool) -> None:
    """Within one daemon, and between two nodes. The password was not refused."""
    logon = ("dc.example.com", "uid=reader", "secret")
    with ExitStack() as stack:
        first = second = Refusals()
        if shared:
            queue = stack.enter_context(fleet_queue(queue_database, Work(), "a"))
            pool = stack.enter_context(open_pool(queue_database, max_size=4, timeout=2))
            first, second = FleetRefusals(pool, b"key", queue.node), FleetRefusals(pool, b"key", queue.node)
        stack.enter_context(first.offering(None, logon, Deadline(PATIENCE)))
        with pytest.raises(DeadlineExceeded) as raised, second.offering(None, logon, Deadline(0.3)):
            pass
    assert str(raised.value) == (
        'dc.example.com has not answered another log-on of the user "uid=reader" within the deadline of this run'
        " (0.3 s), which waited for it. Find out why the directory does not answer: it has neither accepted nor refused"
        " the password."
    )
