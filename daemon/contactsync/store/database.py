"""The database that the settings name, or the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from psycopg import Connection

from contactsync.errors import DatabaseError
from contactsync.store.embedded import embedded_server, has_cluster
from contactsync.store.errors import translated
from contactsync.store.migration import migrate, require_schema
from contactsync.store.pool import Pool, connection_of, open_pool
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
    def ready_connection(self, *, create: bool = False) -> Iterator[tuple[str, Connection[Any]]]:
        """The connection string and one connection to a database with the newest schema. Raises DatabaseError.

        With `create` the database and its schema are made or updated; without it they have to exist.
        """
        with (
            self._prepared(create=create) as conninfo,
            translated(),
            connect(conninfo, application_name="contactsync", timeout=self.connect_timeout) as connection,
        ):
            if not create:
                require_schema(connection)
            yield conninfo, connection

    @contextmanager
    def ready_pool(
        self, *, max_size: int, create: bool = False, application_name: str = "contactsync"
    ) -> Iterator[tuple[str, Pool]]:
        """The connection string and a pool of connections. `create` and errors: as for `ready_connection`."""
        with (
            self._prepared(create=create) as conninfo,
            open_pool(
                conninfo, max_size=max_size, timeout=self.connect_timeout, application_name=application_name
            ) as pool,
        ):
            if not create:
                with connection_of(pool) as connection:
                    require_schema(connection)
            yield conninfo, pool

    @contextmanager
    def existing(self) -> Iterator[str]:
        """The connection string of a database that exists, whatever its schema. Raises DatabaseError."""
        with self._prepared(create=False) as conninfo:
            yield conninfo

    @contextmanager
    def _prepared(self, *, create: bool) -> Iterator[str]:
        if not create and not self.url and not has_cluster(self.state_directory):
            raise DatabaseError(
                f"There is no database yet: [database] url is empty, and {self.state_directory} has no PostgreSQL.",
                hint="`contactsync folders add` or the daemon makes one; --settings names another settings.toml.",
            )
        with self.running() as conninfo:
            if create and (applied := migrate(conninfo)):
                log.info("database.migrated", migrations=applied)
            yield conninfo
