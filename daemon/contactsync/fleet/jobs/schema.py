"""The tables of the queue, which belong to procrastinate and have a schema of their own."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from procrastinate.schema import SchemaManager
from psycopg import sql

from contactsync.errors import DatabaseError
from contactsync.store.errors import translated
from contactsync.store.migration import MIGRATION_LOCK
from contactsync.store.session import connect
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection

QUEUE_SCHEMA = "contactsync_queue"
QUEUE_OPTIONS = f"-c search_path={QUEUE_SCHEMA},pg_catalog -c enable_seqscan=off -c plan_cache_mode=force_generic_plan"
"""Each statement reads a few rows, also with a plan that was made when the queue was empty, while thousands wait."""
_TUNING = """
ALTER TABLE procrastinate_jobs SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE procrastinate_events SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0);
ALTER TABLE procrastinate_workers SET (fillfactor = 50);
CREATE INDEX IF NOT EXISTS jobs_of_lock ON procrastinate_jobs (lock, priority DESC, id) WHERE status = 'todo';
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_status_events_insert_v1,
    DISABLE TRIGGER procrastinate_trigger_status_events_update_v1,
    DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;
CREATE OR REPLACE FUNCTION notify_of_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('procrastinate_queue_v1#' || queue_name, '{"type": "job_inserted", "job_id": 0}')
    FROM (SELECT DISTINCT queue_name FROM jobs WHERE status = 'todo') AS queues;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER notify_of_jobs AFTER INSERT ON procrastinate_jobs
    REFERENCING NEW TABLE AS jobs FOR EACH STATEMENT EXECUTE FUNCTION notify_of_jobs();
"""
"""Each run writes and deletes a row, so that the share of dead rows says nothing. No events of jobs are written: they
would be deleted with their job. A statement that requests many runs sends one notification, and not two for each."""


def prepare_queue(conninfo: str) -> list[str]:
    """Create the tables of the queue or bring them up to date; returns what was applied. Raises DatabaseError."""
    with translated(), connect(conninfo, application_name="contactsync-migration") as connection:
        if _applied(connection) == _newest() and not _may_tune(connection):
            return []
        if not (connection.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone() or [0])[0]:
            require_queue(connection)
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '30s'")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
            return _prepare(connection)


def require_queue(connection: Connection[Any]) -> None:
    """Raise DatabaseError unless the queue's tables are those of the installed procrastinate."""
    with translated():
        applied = _applied(connection)
    if applied is None:
        raise DatabaseError(
            f"The database {connection.info.dbname} has no tables for the queue of a fleet.",
            hint="Run `contactsync migrate` with [fleet] enabled = true, as the owner of the schema.",
        )
    if applied != _newest():
        raise DatabaseError(
            f"The queue's tables are of another release ({applied}) than procrastinate {version('procrastinate')},"
            f" which has {_newest()}.",
            hint="Run `contactsync migrate`, or install the same release of contactsync on all nodes.",
        )


def _prepare(connection: Connection[Any]) -> list[str]:
    applied = _applied(connection)
    if applied is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(QUEUE_SCHEMA)))
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(QUEUE_SCHEMA)))
    missing = [] if applied is None else [file for file in _migrations() if file.stem > applied]
    if applied is not None and applied > _newest():
        raise DatabaseError(
            f"The queue's tables are of a newer release: {applied}.", hint="Install the newer release here too."
        )
    if applied is None:
        connection.execute(SchemaManager.get_schema())
    connection.execute(_TUNING)
    for file in missing:
        # Files of the installed package are as trusted as its code.
        text: LiteralString = file.read_text(encoding="utf-8")
        connection.execute(text)
    connection.execute(
        sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
            sql.Identifier(QUEUE_SCHEMA), sql.Literal(f"The queue of a fleet, of procrastinate: {_newest()}")
        )
    )
    return [file.stem for file in missing] or [_newest()]


def _may_tune(connection: Connection[Any]) -> bool:
    """Whether the tables lack what an earlier release did not give them, and this role is their owner."""
    return execute(connection, "queue_is_untuned").fetchone() == (True,)


def _applied(connection: Connection[Any]) -> str | None:
    """The newest applied migration of procrastinate; None without its tables."""
    row = execute(connection, "queue_exists").fetchone()
    return str(row[0] or "").rpartition(" ")[2] if row else None


def _newest() -> str:
    return _migrations()[-1].stem


def _migrations() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
