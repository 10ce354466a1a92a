"""The session of PostgreSQL: no setting of a role, a database or the environment changes what is stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.errors import DatabaseError, DatabaseSlow, DatabaseUnavailable
from contactsync.model import Outcome
from contactsync.store.migration import migrate
from contactsync.store.plan.run_tables import make_run_tables
from contactsync.store.pool import connection_of, open_pool, reading_connection_of
from contactsync.store.session import connect
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, people
from tests.support.pgbouncer import pgbouncer
from tests.support.proxy import Proxy
from tests.support.resources import short_directory

SOCKET = ".s.PGSQL.5432"
ODD = {
    "client_encoding": "LATIN1",
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "timezone": "Pacific/Chatham",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
    "search_path": "nowhere",
    "extra_float_digits": "-15",
    "row_security": "off",
    "default_transaction_deferrable": "on",
    "exit_on_error": "on",
    "restrict_nonsystem_relation_kind": "view",
    "plpgsql.extra_errors": "all",
    "work_mem": "64kB",
    "plan_cache_mode": "force_generic_plan",
}
"""Settings that people give to roles and databases, for other programs."""
HARMLESS = {"work_mem", "plan_cache_mode"}
"""Settings of ODD that a session keeps: they change no result."""
LIBPQ = {"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German", "PGTZ": "Asia/Kathmandu"}


def on_database(conninfo: str, statement: LiteralString, *names: str) -> None:
    """Carry out an ALTER DATABASE about the database of a conninfo."""
    name = str(conninfo_to_dict(conninfo)["dbname"])
    with psycopg.connect(
        conninfo, user="postgres", autocommit=True, options="-c default_transaction_read_only=off"
    ) as c:
        c.execute(sql.SQL(statement).format(sql.Identifier(name), *map(sql.Identifier, names)))


def expect_own_settings(conninfo: str) -> None:
    """A session has none of the odd settings, which a client of another kind gets."""
    query = "SELECT current_setting(%s)"
    with connect(conninfo, application_name="test") as own, psycopg.connect(conninfo) as other:
        for name in ODD.keys() - HARMLESS:
            assert other.execute(query, [name]).fetchone() != own.execute(query, [name]).fetchone(), name


def expect_equal(conninfo: str, slapd: PrivateSlapd) -> None:
    """Fill a folder over this database: the contacts are the people of the directory, letter by letter."""
    with open_pool(conninfo, max_size=3, timeout=30) as pool:
        folder = SyncedFolder(conninfo, pool, slapd)
        assert folder.run().outcome is Outcome.CHANGED
        query = "SELECT source_dn, source_key, notes FROM contactsync.contacts WHERE definition_id IS NOT NULL"
        with connect(conninfo, application_name="test") as c:
            stored = set(c.execute(query).fetchall())
        assert any(not dn.isascii() for dn, _, _ in stored)
        assert stored == people(slapd)
        assert folder.run().outcome is Outcome.UNCHANGED
        with connection_of(pool) as c:
            with pytest.raises(psycopg.Error):
                c.execute("SELECT 1 / 0")
            assert c.execute("SELECT state FROM contactsync.definition_overview").fetchall() == [("ok",)]


@pytest.mark.parametrize("brought_by", ["database", "role", "environment"])
def test_settings_from_outside_change_nothing(
    database: str, directory: PrivateSlapd, monkeypatch: pytest.MonkeyPatch, brought_by: str
) -> None:
    """Encoding, formats, isolation, restrictions: the session has its own."""
    if brought_by == "environment":
        options = " ".join(f"-c {name}={value}" for name, value in ODD.items())
        for name, value in {**LIBPQ, "PGOPTIONS": options}.items():
            monkeypatch.setenv(name, value)
    else:
        place = sql.Identifier(str(conninfo_to_dict(database)["dbname"]))
        alter = sql.SQL("ALTER DATABASE {}" if brought_by == "database" else "ALTER ROLE contactsync IN DATABASE {}")
        with psycopg.connect(database, user="postgres", autocommit=True) as c:
            for setting, value in ODD.items():
                setting_as = sql.SQL(" SET {} = {}").format(
                    sql.SQL(".").join(map(sql.Identifier, setting.split("."))), value
                )
                c.execute(alter.format(place) + setting_as)
    expect_own_settings(database)
    expect_equal(database, directory)


def test_time_limits_of_the_database_do_not_end_a_run(database: str) -> None:
    """They are made for queries of web pages."""
    on_database(database, "ALTER DATABASE {} SET statement_timeout = '300ms'")
    on_database(database, "ALTER DATABASE {} SET idle_in_transaction_session_timeout = '300ms'")
    on_database(database, "ALTER DATABASE {} SET transaction_timeout = '300ms'")
    with open_pool(database, max_size=1, timeout=30) as pool, connection_of(pool) as c, c.transaction():
        c.execute("SELECT pg_sleep(0.5)")
        time.sleep(0.5)
        c.execute("SELECT 1")


def test_a_read_that_takes_too_long_is_ended(database: str) -> None:
    """The same connection then serves others, without the limit."""
    with open_pool(database, max_size=1, timeout=30) as pool:
        with connection_of(pool) as c:
            before = c.info.backend_pid
        with pytest.raises(DatabaseSlow, match="statement timeout"), reading_connection_of(pool, 0.05) as c:
            c.execute("SELECT pg_sleep(60)")
        with connection_of(pool) as c:
            assert c.info.backend_pid == before
            c.execute("SELECT pg_sleep(0.1)")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_refused(postgres_server: str, encoding: str) -> None:
    """Before anything is written to it, with the statement that makes a good one."""
    name = f"encoded_{encoding.lower()}"
    with psycopg.connect(postgres_server, user="postgres", autocommit=True) as c:
        made = sql.SQL(
            "CREATE DATABASE {} ENCODING {} LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            " OWNER contactsync"
        )
        c.execute(made.format(sql.Identifier(name), sql.Literal(encoding)))
        try:
            with pytest.raises(DatabaseError, match=f"stores text in {encoding}") as caught:
                migrate(psycopg.conninfo.make_conninfo(postgres_server, dbname=name))
            assert "ENCODING 'UTF8'" in caught.value.hint
        finally:
            c.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_triggers_that_are_switched_off_are_refused(database: str) -> None:
    """A contact could then belong to no folder."""
    on_database(database, "ALTER DATABASE {} SET session_replication_role = replica")
    with pytest.raises(DatabaseError, match="session_replication_role is replica"):
        connect(database, application_name="test")


def test_a_connection_that_can_only_read_is_given_up(database: str) -> None:
    """While the database takes no writes the error says so; afterwards the pool makes a connection that works."""
    with open_pool(database, max_size=2, timeout=30) as pool:
        with connection_of(pool):
            pass
        on_database(database, "ALTER DATABASE {} SET default_transaction_read_only = on")
        with psycopg.connect(database, user="postgres", autocommit=True) as c:
            # Until the sessions have ended.
            c.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = 'contactsync'"
            )
        with pytest.raises(DatabaseUnavailable, match="accepts no writes"), connection_of(pool):
            pass
        with pytest.raises(DatabaseUnavailable, match="accepts no writes"):
            migrate(database)
        on_database(database, "ALTER DATABASE {} RESET default_transaction_read_only")
        with connection_of(pool) as connection:
            connection.execute("CREATE TEMPORARY TABLE works (one int)")


@pytest.mark.parametrize(
    "columns", ["1, 2, 3, 4, 5 AS marked", "'', false, false, 4 AS marked", "1 AS marked WHERE false"]
)
def test_a_connection_whose_answers_are_late_is_given_up(database: str, columns: LiteralString) -> None:
    """A damaged message can leave an answer for the next statement: nobody else gets such a connection."""
    sent: list[bytes] = []

    def answer_twice(octets: bytes) -> bytes:
        """Send the marked statement again before the next one."""
        again = b"".join(sent)
        sent[:] = [octets] if b"AS marked" in octets else []
        return again + octets

    target = Path(str(conninfo_to_dict(database)["host"])) / SOCKET
    with short_directory() as place, closing(Proxy(target, listen=place / SOCKET)) as proxy:
        through = make_conninfo(database, host=str(place))
        with open_pool(through, max_size=1, timeout=30) as pool:
            with connection_of(pool) as connection:
                make_run_tables(connection)
                proxy.tamper = answer_twice
                connection.execute(sql.SQL("SELECT {}").format(sql.SQL(columns)))
            proxy.tamper = bytes
            with connection_of(pool) as another:
                assert another.execute("SELECT 6").fetchone() == (6,)
            assert connection.closed


@pytest.fixture
def folder_of_pooler() -> Iterator[Path]:
    """Give a directory that the account of the embedded PostgreSQL can write to."""
    with short_directory() as path:
        yield path


def test_a_pooler_of_transactions_is_refused(database: str, folder_of_pooler: Path) -> None:
    """By everything that opens the database: runs of several folders would share temporary tables and locks."""
    with pgbouncer(database, folder_of_pooler, mode="transaction") as through:
        for opens in (lambda: migrate(through), lambda: connect(through, application_name="test")):
            with pytest.raises(DatabaseError, match="shares sessions between clients") as caught:
                opens()
            assert "pool_mode = session" in caught.value.hint


def test_a_pooler_of_sessions_works(database: str, folder_of_pooler: Path, directory: PrivateSlapd) -> None:
    """Each client has a session of its own, as without it."""
    with pgbouncer(database, folder_of_pooler, mode="session") as through:
        assert migrate(through) == []
        expect_equal(through, directory)
