"""A live folder loses no change while its servers and the daemon are restarted and killed."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Self

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException

from contactsync.testing.people import make_people
from contactsync.testing.slapd import PrivateSlapd
from tests.faults.expected import brought, recomputed
from tests.faults.trial import repeatable
from tests.faults.world import World
from tests.support.folder import SyncedFolder, change
from tests.support.processes import DaemonProcess
from tests.support.proxy import Fault, Harm, Proxy
from tests.support.waiting import PATIENCE, wait_until

PER_SECOND = 50
BETWEEN = (0.2, 0.6)
LASTS = (0.05, 0.3)
"""Seconds between two failures, and how long each of them lasts."""
_numbers = count(20_000)
_TRIGGERS = "SELECT DISTINCT trigger FROM contactsync.sync_runs WHERE definition_id = %s AND run_id > %s"
_LAST_RUN = "SELECT coalesce(max(run_id), 0) AS run_id FROM contactsync.sync_runs"
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'contactsync%%' AND pid <> pg_backend_pid()"


class Changing:
    """Adds, changes, renames and deletes people all the time, also while the directory is down."""

    def __init__(self, slapd: PrivateSlapd, random: Random) -> None:
        self.done = 0
        self._slapd = slapd
        self._random = random
        self._dns: list[str] = []
        self._admin: ldap3.Connection | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._change, name="changing")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _change(self) -> None:
        while not self._over.wait(1 / PER_SECOND):
            try:
                self._change_one(self._admin or self._connect())
                self.done += 1
            except (LDAPException, OSError):
                # The directory knows whether it was done.
                self._disconnect()
        self._disconnect()

    def _connect(self) -> ldap3.Connection:
        # ldap3 leaves a socket open for every refused connection.
        socket.create_connection((self._slapd.address, self._slapd.port), timeout=1).close()
        self._admin = self._slapd.unbound_connection()
        self._admin.raise_exceptions = True
        self._admin.bind()
        return self._admin

    def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin and admin.socket:
            admin.socket.close()

    def _change_one(self, admin: ldap3.Connection) -> None:
        random = self._random
        what = random.choice(["add", "add", "modify", "modify", "rename", "delete"]) if self._dns else "add"
        if what == "add":
            (person,) = make_people(1, start=next(_numbers))
            self._dns.append(person.dn)
            admin.add(person.dn, attributes=person.attributes)
            return
        dn = random.choice(self._dns)
        if what == "modify":
            admin.modify(dn, {"description": [(ldap3.MODIFY_REPLACE, [f"Changed {next(_numbers)} times"])]})
            return
        self._dns.remove(dn)
        if what == "delete":
            admin.delete(dn)
        else:
            name, parent = f"uid=renamed{next(_numbers)}", self._slapd.people_base
            self._dns.append(f"{name},{parent}")
            admin.modify_dn(dn, name)


class Followed:
    """The real daemon with one live folder that has no schedule."""

    def __init__(self, world: World, place: Path) -> None:
        self.world = world
        self.folder: SyncedFolder = world.folder(
            "plain", mode="live", max_delete_share=1, max_delete_count=1_000_000, schedule="manual"
        )
        self.folder.edit(password_sealed=None, password_ref="env:READER")
        settings = {"CONTACTSYNC_DATABASE__CONNECT_TIMEOUT_SECONDS": "1"}
        self.daemon = DaemonProcess(world.through, place, READER=world.slapd.reader_password, **settings)

    def calm(self, since: int) -> None:
        """Restart the daemon now and then: after many failures it waits for up to a minute."""
        if since == 0:
            self.daemon.stop()
            self.daemon.start()
            self.expect_in_sync()

    def measure(self, proxy: Proxy) -> dict[bool, int]:
        """The octets that pass when a change arrives."""

        def follow() -> None:
            change(self.world.slapd)
            self.expect_in_sync()

        return proxy.measure(follow)

    def strike(self, proxy: Proxy, fault: Fault, kill: Callable[[], object]) -> None:
        """Change something, and have the fault happen while that arrives."""
        changed, killed = threading.Event(), threading.Event()

        def strike() -> None:
            # Not while this test itself changes the directory.
            changed.wait(PATIENCE)
            kill()
            killed.set()

        proxy.arm(fault, strike)

        def has_struck() -> bool:
            # How many runs a change causes, and so how many octets, differs: change until it strikes.
            change(self.world.slapd)
            time.sleep(LASTS[0])
            return proxy.struck is not None

        wait_until(has_struck, lambda: f"the fault: {self.daemon.text()[-3000:]}")
        changed.set()
        wait_until(killed.is_set, "the kill")
        proxy.heal()

    @contextmanager
    def directory_restarted(self) -> Iterator[None]:
        """In order."""
        self.world.slapd.stop()
        yield
        self.world.slapd.start()

    @contextmanager
    def directory_killed(self) -> Iterator[None]:
        """By SIGKILL."""
        self.world.slapd.kill()
        yield
        self.world.slapd.start()

    @contextmanager
    def postgresql_restarted(self) -> Iterator[None]:
        """After a run has failed to start."""
        before = len(self.daemon.events("run.not_started"))
        self.world.postgres.crash()
        yield
        wait_until(lambda: len(self.daemon.events("run.not_started")) > before, "a run that cannot start")
        self.world.postgres.start()

    @contextmanager
    def connections_killed(self) -> Iterator[None]:
        """PostgreSQL ends all its processes after one was killed, and recovers."""
        self.world.postgres.kill_backends(*(row["pid"] for row in self.folder.query(_BACKENDS)))
        yield

    @contextmanager
    def daemon_killed(self) -> Iterator[None]:
        """By SIGKILL."""
        self.daemon.stop(signal.SIGKILL)
        yield
        self.daemon.start()

    def expect_in_sync(self) -> None:
        """Wait until the folder is in sync, without further changes."""
        wanted = recomputed(self.world.slapd)
        wait_until(lambda: brought(self.folder) == wanted, self._differences)

    def _differences(self) -> str:
        wanted, found = recomputed(self.world.slapd), brought(self.folder)
        return (
            f"{len(wanted.keys() - found.keys())} are missing, {len(found.keys() - wanted.keys())} are left, "
            f"{sum(found[key] != wanted[key] for key in found.keys() & wanted.keys())} differ: "
            f"{self.daemon.text()[-3000:]}"
        )


@pytest.fixture
def followed(troubled: World, tmp_path: Path) -> Iterator[Followed]:
    """Follow one folder of sixty people."""
    followed = Followed(troubled, tmp_path)
    followed.daemon.start()
    try:
        followed.expect_in_sync()
        yield followed
        followed.folder.edit(enabled=False)
        assert followed.daemon.stop() == 0
    finally:
        followed.daemon.end()


Failure = Callable[[Followed], AbstractContextManager[None]]
FAILURES: list[Failure] = [
    Followed.directory_restarted,
    Followed.directory_killed,
    Followed.postgresql_restarted,
    Followed.connections_killed,
    Followed.daemon_killed,
]


@pytest.mark.parametrize("harm", [*FAILURES, None], ids=lambda harm: harm.__name__ if harm else "all_of_it")
def test_nothing_is_lost(followed: Followed, harm: Failure | None, seed: str, times: int) -> None:
    """With fifty changes a second and no schedule, the folder is in sync in the end.

    The last change is made during the last failure, so no later change can bring it along.
    """
    last = followed.folder.query(_LAST_RUN)[0]["run_id"]
    for number in range(times):
        followed.calm(0)
        name = f"{seed}/live/{number}"
        random = Random(name)  # noqa: S311 -- repeatable, not secret
        *harms, at_last = [harm, harm] if harm else random.sample(FAILURES, len(FAILURES))
        with repeatable(name, seed):
            with ExitStack() as away, Changing(followed.world.slapd, random) as changing:
                for one in harms:
                    time.sleep(random.uniform(*BETWEEN))
                    with one(followed):
                        time.sleep(random.uniform(*LASTS))
                time.sleep(random.uniform(*BETWEEN))
                away.enter_context(at_last(followed))
                time.sleep(random.uniform(*LASTS))
            assert changing.done > PER_SECOND * BETWEEN[0]
            followed.expect_in_sync()
    assert [row["trigger"] for row in followed.folder.query(_TRIGGERS, followed.folder.definition_id, last)] == ["live"]


@pytest.mark.parametrize("victim", ["daemon", "directory", "PostgreSQL"])
def test_a_kill_at_any_octet_of_a_live_run(followed: Followed, victim: str, seed: str, times: int) -> None:
    """What was being read or written arrives without a further change."""
    world = followed.world
    proxies = [world.database] if victim == "PostgreSQL" else [world.plain, world.database]
    ways = [(proxy, followed.measure(proxy)) for proxy in proxies]
    random = Random(f"{seed}/live/{victim}")  # noqa: S311 -- repeatable, not secret

    def kill() -> None:
        if victim == "daemon":
            followed.daemon.send(signal.SIGKILL)
        elif victim == "directory":
            world.slapd.kill()
        else:
            world.postgres.crash(signal.SIGKILL)

    for number in range(3 * times):
        followed.calm(number % 3)
        (proxy, passed), to_server = random.choice(ways), random.choice([True, False])
        fault = Fault(Harm.KILL, to_server, random.randrange(passed[to_server]))
        with repeatable(fault, seed):
            followed.strike(proxy, fault, kill)
            if victim == "daemon":
                assert followed.daemon.wait() == -signal.SIGKILL
                followed.daemon.start()
            world.slapd.start()
            world.postgres.start()
            followed.expect_in_sync()
