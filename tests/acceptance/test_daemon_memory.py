"""The daemon loads no library that its folders do not need."""

from __future__ import annotations

import sys

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import running_daemon
from tests.support.definitions import PEOPLE
from tests.support.resources import short_directory

KEPT_OUT = {
    "cryptography": "about 9 MB, for sealed passwords, client certificates and Kerberos",
    "rich": "5 MB with pygments, for tables and progress bars",
    "dns": "2 MB, for queries without a server and settings with name servers",
    "contactsync.demo": "for `contactsync demo`",
    "contactsync.checks.check": "for `contactsync check`",
}
_DAEMON = """
import atexit, os, sys
from contactsync.cli.app import main
atexit.register(lambda: open(os.environ["LOADED"], "w").write(" ".join(sys.modules)))
sys.exit(main(["daemon"]))
"""


def test_an_ordinary_folder_loads_no_optional_library(database: str) -> None:
    """With a password by reference and a server by its address, through two runs and requests over the socket.

    It is the first start, which also publishes the key for passwords by SQL.
    """
    with short_directory() as place, PrivateSlapd(place / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory:
        loaded = place / "loaded"
        with running_daemon(database, directory, place, LOADED=str(loaded)) as client:
            client.daemon.stop()
            client.person.execute("DELETE FROM contactsync.public_key")
            client.daemon.start(sys.executable, "-c", _DAEMON)
            client.run(client.staff)
            assert client.outcomes(client.staff)[-1] == "unchanged"
            assert client.get("/v1/status")["ready"]
            assert client.person.execute("SELECT count(*) FROM contactsync.contacts").fetchone() == (PEOPLE,)
            assert client.person.execute("SELECT count(*) FROM contactsync.public_key").fetchone() == (1,)
            assert client.daemon.stop() == 0
        modules = set(loaded.read_text().split())
    assert "contactsync.service.main" in modules
    assert {name: why for name, why in KEPT_OUT.items() if name in modules} == {}
