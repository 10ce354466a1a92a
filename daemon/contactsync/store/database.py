"""The database that the settings name, or the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from psycopg import Connection

from contactsync.store.embedded import embedded_server
from contactsync.store.errors import translated
from contactsync.store.migration import migrate
from contactsync.store.pool import Pool, open_pool
from contactsync.store.session import connect

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Database:
    """A database. Without a `url` it is the embedded PostgreSQL in `state_directory`, started on demand."""

    url: str = field(repr=False)
    state_directory: Path
    connect_timeout: float

    @contextmanager
    def running(self) -> Iterator[str]:
        """The connection string. Raises EmbeddedServerError."""
        if self.url:
            yield self.url
            return
        with embedded_server(self.state_directory) as conninfo:
            yield conninfo

    def revive(self) -> None:
        """Start the embedded PostgreSQL again if it died while the caller uses it. Raises EmbeddedServerError."""
        if not self.url:
            # The end of the block stops the server only if there is no other user.
            with embedded_server(self.state_directory):
                log.info("database.revived")

    @contextmanager
    def ready_connection(self) -> Iterator[Connection[Any]]:
        """One connection to the database, migrated to the newest schema. Raises DatabaseError."""
        with (
            self._migrated() as conninfo,
            translated(),
            connect(conninfo, application_name="contactsync", timeout=self.connect_timeout) as connection,
        ):
            yield connection

    @contextmanager
    def ready_pool(self, *, max_size: int) -> Iterator[tuple[str, Pool]]:
        """The connection string and a pool of connections to the database, migrated to the newest schema."""
        with (
            self._migrated() as conninfo,
            open_pool(conninfo, max_size=max_size, timeout=self.connect_timeout) as pool,
        ):
            yield conninfo, pool

    @contextmanager
    def _migrated(self) -> Iterator[str]:
        with self.running() as conninfo:
            if applied := migrate(conninfo):
                log.info("database.migrated", migrations=applied)
            yield conninfo
