"""The daemon has no library in memory that the folders it keeps have no use for."""

from __future__ import annotations

import sys

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import running_daemon
from tests.support.definitions import PEOPLE
from tests.support.resources import short_directory

KEPT_OUT = {
    "cryptography": "some eight megabytes, for sealed passwords, client certificates and Kerberos",
    "dns": "two, for queries without a server and settings with name servers",
    "httpx": "for the command line's questions to the daemon",
    "contactsync.demo": "for `contactsync demo`",
    "contactsync.checks": "for `contactsync check`",
}
_DAEMON = """
import atexit, os, sys
from contactsync.cli.app import main
atexit.register(lambda: open(os.environ["LOADED"], "w").write(" ".join(sys.modules)))
sys.exit(main(["daemon"]))
"""


def test_what_an_ordinary_folder_does_not_need_is_not_loaded(database: str) -> None:
    """A password by reference, a server by its address: a first load, a run without changes, questions over the socket.

    `database` is migrated already, as that of a daemon that starts again.
    """
    with short_directory() as place, PrivateSlapd(place / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory:
        loaded = place / "loaded"
        with running_daemon(
            database, directory, place, command=(sys.executable, "-c", _DAEMON), LOADED=str(loaded)
        ) as client:
            client.run(client.staff)
            assert client.outcomes(client.staff)[-1] == "unchanged"
            assert client.get("/v1/status")["ready"]
            assert client.person.execute("SELECT count(*) FROM contactsync.contacts").fetchone() == (PEOPLE,)
            assert client.daemon.stop() == 0
        modules = set(loaded.read_text().split())
    assert "contactsync.service.main" in modules
    assert {name: why for name, why in KEPT_OUT.items() if name in modules} == {}
