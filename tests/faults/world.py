"""A directory and a PostgreSQL, each behind a proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.store.pool import Pool, open_pool
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder
from tests.support.postgres import FragilePostgres
from tests.support.proxy import Proxy
from tests.support.resources import short_directory
from tests.support.streams import LDAP_LENGTHS, POSTGRESQL_LENGTHS
from tests.support.waiting import wait_until

SOCKET = ".s.PGSQL.5432"
SESSION_LOG = 20
"""So few deletions that the directory forgets some of them."""
_LEFT_IN_DATABASE = """
SELECT 'a lock' AS what FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND d.datname = current_database()
UNION ALL
SELECT 'a large temporary table' FROM pg_class
WHERE relpersistence = 't' AND relkind = 'r' AND NOT %s AND pg_table_size(oid) > 1 << 20
UNION ALL
SELECT 'a transaction: ' || query FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND state NOT IN ('idle', 'disabled')
"""


@dataclass(frozen=True)
class World:
    """`plain` and `tls` are the proxies before the directory's two ports, `database` the one before PostgreSQL.

    `conninfo` connects to PostgreSQL itself; `through` and `pool` connect through its proxy.
    """

    slapd: PrivateSlapd
    postgres: FragilePostgres
    conninfo: str
    through: str
    plain: Proxy
    tls: Proxy
    database: Proxy
    pool: Pool

    def folder(self, way: str, **columns: Any) -> SyncedFolder:
        """A folder that reads the directory in plain text, by StartTLS or by LDAPS."""
        proxy = self.directory(way)
        scheme = "ldaps" if way == "ldaps" else "ldap"
        columns.setdefault("query", f"{scheme}://127.0.0.1:{proxy.port}/{self.slapd.suffix}")
        columns.setdefault("tls", "none" if way == "plain" else "auto")
        columns.setdefault("mode", "full")
        return SyncedFolder(self.conninfo, self.pool, self.slapd, **columns)

    def directory(self, way: str) -> Proxy:
        """The proxy of such a folder."""
        return self.tls if way == "ldaps" else self.plain

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """All three."""
        return self.plain, self.tls, self.database

    def refresh_pool(self) -> None:
        """Replace the pool's dead connections now: new connections during a run would shift the octets."""
        self.pool.check()
        with self.pool.connection():
            pass

        def is_idle() -> bool:
            stats = self.pool.get_stats()
            return stats["pool_available"] == stats["pool_size"]

        wait_until(is_idle, lambda: f"the pool is busy: {self.pool.get_stats()}")

    def leftovers(self, folder: SyncedFolder) -> list[str]:
        """What runs have left behind in PostgreSQL, and their threads and connections."""
        left = [row["what"] for row in folder.query(_LEFT_IN_DATABASE, self.postgres.crashes > 0)]
        left += [thread.name for thread in threading.enumerate() if thread.name.startswith("beside")]
        left += [f"{proxy.open} connections to the directory" for proxy in (self.plain, self.tls) if proxy.open]
        return left

    def footprint(self) -> tuple[int, int]:
        """The numbers of threads and open files of this process, without those of the proxies' connections."""
        threads = [thread for thread in threading.enumerate() if thread.name != "proxy"]
        # Three for each connection: both sides of the proxy, and the client's.
        return len(threads), len(list(Path("/proc/self/fd").iterdir())) - 3 * sum(proxy.open for proxy in self.proxies)

    def expect_footprint(self, before: tuple[int, int]) -> None:
        """Wait until there are no more threads and files than before; the pool closes its dead connections."""
        self.pool.check()

        def is_no_larger() -> bool:
            return all(now <= was for now, was in zip(self.footprint(), before, strict=True))

        wait_until(is_no_larger, lambda: f"threads and files: {self.footprint()}, were {before}")


@contextmanager
def world(place: Path, ldif: str = "") -> Iterator[World]:
    """Start everything."""
    with ExitStack() as stack:
        postgres = stack.enter_context(FragilePostgres(stack.enter_context(short_directory())))
        slapd = stack.enter_context(PrivateSlapd(place / "slapd", ldif=ldif, session_log=SESSION_LOG))
        conninfo = postgres.new_database()
        ours = stack.enter_context(short_directory())
        target = Path(str(conninfo_to_dict(conninfo)["host"])) / SOCKET
        database = stack.enter_context(closing(Proxy(target, listen=ours / SOCKET, lengths=POSTGRESQL_LENGTHS)))
        plain = stack.enter_context(closing(Proxy(slapd.port, lengths=LDAP_LENGTHS)))
        tls = stack.enter_context(closing(Proxy(slapd.tls_port)))
        through = make_conninfo(conninfo, host=str(ours))
        pool = stack.enter_context(open_pool(through, max_size=3, timeout=30))
        yield World(slapd, postgres, conninfo, through, plain, tls, database, pool)
