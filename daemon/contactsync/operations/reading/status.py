"""The state of an installation: its database, its folders and its last runs."""

from __future__ import annotations

import platform
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, Field

from contactsync import __version__
from contactsync.operations.runs import list_runs
from contactsync.store.embedded import psql_command
from contactsync.store.health import count_definitions, daemon_listens, first_next_run, server_version
from contactsync.sync.document import RunDocument

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.settings.schema import Settings

RUNS = 5
_SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret"})


class DatabaseInUse(BaseModel):
    """The database."""

    embedded: bool
    url: str | None = Field(description="In libpq's form of keywords and values, without the password.")


class FirstRun(BaseModel):
    """The next run of all."""

    label: str
    at: datetime


class Installation(BaseModel):
    """What `contactsync status` shows, except for what the daemon does now."""

    version: str
    python_version: str
    postgresql_version: str
    settings_file: str | None
    state_directory: str
    database: DatabaseInUse
    psql: str | None = Field(description="The command that opens the embedded database, for its owner and root.")
    daemon_running: bool
    definitions: dict[str, int] = Field(description="The number of definitions by state.")
    contacts: int
    next_run: FirstRun | None
    runs: list[RunDocument]


def installation(connection: Connection[Any], settings: Settings) -> Installation:
    """The state of the installation with these settings. Raises DatabaseError."""
    url = settings.database.url.get_secret_value()
    counts = count_definitions(connection)
    running = daemon_listens(connection)
    first = first_next_run(connection) if running else None
    return Installation(
        version=__version__,
        python_version=platform.python_version(),
        postgresql_version=server_version(connection),
        settings_file=str(settings.file) if settings.file else None,
        state_directory=str(settings.state.directory),
        database=DatabaseInUse(embedded=not url, url=_without_password(url) if url else None),
        psql=None if url else _psql(connection),
        daemon_running=running,
        definitions={state: number for state, number, _ in counts},
        contacts=sum(contacts for _, _, contacts in counts),
        next_run=FirstRun(label=first[0], at=first[1]) if first else None,
        runs=list_runs(connection, limit=RUNS),
    )


def _psql(connection: Connection[Any]) -> str:
    """The command that opens the embedded database, whose address the user cannot know."""
    info = connection.info
    return psql_command(make_conninfo(host=info.host, user=info.user, dbname=info.dbname))


def _without_password(url: str) -> str:
    """The connection string in libpq's form of keywords and values, which a URL is equal to."""
    return make_conninfo("", **{name: value for name, value in conninfo_to_dict(url).items() if name not in _SECRETS})
