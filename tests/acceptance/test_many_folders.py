"""Many folders of one directory in one daemon: their order and the number of connections."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import psycopg

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import define, outcomes
from tests.support.peers import silent_server
from tests.support.processes import DaemonProcess
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

Until = Callable[[Callable[[], Any], str], Any]

FOLDERS = 40
PER_SERVER = 2


def test_a_round_of_many_folders(
    database: str,
    person: psycopg.Connection[Any],
    slapd: PrivateSlapd,
    make_daemon: Callable[..., DaemonProcess],
) -> None:
    """All run, beside a server that does not answer, with no more connections than allowed."""
    proxy = Proxy(slapd.port)
    query = f"ldap://127.0.0.1:{proxy.port}/{slapd.people_base}"
    daemon = make_daemon(database, READER=slapd.reader_password, CONTACTSYNC_SCHEDULER__PER_SERVER=str(PER_SERVER))
    try:
        with silent_server() as port:
            stuck = [
                define(person, slapd, f"Stuck {number}", query=f"127.0.0.1:{port}", base="dc=x") for number in range(5)
            ]
            folders = [define(person, slapd, f"Staff {number}", query=query) for number in range(FOLDERS)]
            daemon.start()
            wait_until(lambda: all(outcomes(person, folder) == ["unchanged"] for folder in folders), "the first round")
            daemon.send(signal.SIGUSR1)
            wait_until(
                lambda: all(outcomes(person, folder) == ["unchanged"] * 2 for folder in folders), "another round"
            )
            assert {tuple(outcomes(person, folder)) for folder in stuck} <= {(None,), ()}
            assert proxy.accepted <= PER_SERVER
            assert daemon.stop() == 0
    finally:
        proxy.close()
