"""`contactsync setup`: schema, groups and a reader in a PostgreSQL of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from contactsync.store.embedded.cluster import SUPERUSER
from tests.support.processes import CommandLine
from tests.support.resources import database_of
from tests.support.roles import role_with


@pytest.fixture(scope="module")
def empty(postgres_server: str) -> Iterator[str]:
    """Make an empty database and remove the reader afterwards."""
    with database_of(postgres_server) as conninfo:
        yield conninfo
    with psycopg.connect(postgres_server, user=SUPERUSER, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS phonebook")


@pytest.fixture
def cli(empty: str, tmp_path: Path) -> CommandLine:
    """Give the command line with the superuser's URL of the empty database."""
    return CommandLine(make_conninfo(empty, user=SUPERUSER), tmp_path)


def rows(conninfo: str, statement: str, *values: Any) -> list[Any]:
    """Give the rows of a query, as a superuser."""
    with psycopg.connect(conninfo, user=SUPERUSER, autocommit=True) as connection:
        return connection.execute(statement.encode(), values).fetchall()


def test_a_setup_shows_its_plan_asks_and_can_be_repeated(cli: CommandLine, empty: str) -> None:
    """A dry run changes nothing, nor does a setup without an answer; the reader reads contacts and nothing else."""
    url = cli.environ["CONTACTSYNC_DATABASE__URL"]
    planned = cli("setup", "--database", url, "--reader", "phonebook", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "Nothing was changed." in planned.stdout
    assert "phonebook, a login role in contactsync_reader" in planned.stdout
    assert cli("setup", "--reader", "phonebook").returncode != 0
    assert rows(empty, "SELECT to_regnamespace('contactsync') IS NULL") == [(True,)]
    first = cli.json("setup", "--reader", "phonebook", "--yes")
    assert first["migrations"]
    assert (first["reader"], first["carried_out"]) == ("phonebook", True)
    again = cli.json("setup", "--reader", "phonebook", "--yes")
    assert (again["migrations"], again["groups"], again["reader"]) == ([], [], None)
    with psycopg.connect(empty, user=SUPERUSER, autocommit=True) as connection:
        connection.execute("SET ROLE phonebook")
        assert connection.execute("SELECT count(*) FROM contactsync.contacts").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM contactsync.sync_definitions")


def test_a_reader_that_is_another_role_is_refused(cli: CommandLine) -> None:
    """Its rights would change."""
    done = cli("setup", "--reader", SUPERUSER, "--yes")
    assert done.returncode == 64
    assert "exists already, and is not a reader" in done.stderr


def test_a_role_without_rights_is_refused_before_any_change(cli: CommandLine, empty: str) -> None:
    """The hint has the statement for a superuser."""
    weak = role_with(empty, "trial_weak")
    done = cli("setup", "--database", weak, "--reader", "another", "--yes")
    assert done.returncode == 69
    assert "belongs to another role than trial_weak" in done.stderr
    with database_of(empty) as fresh:
        done = cli("setup", "--database", role_with(fresh, "trial_weak"), "--yes")
        assert "The role trial_weak may not create a schema" in done.stderr
        with psycopg.connect(fresh, user=SUPERUSER, autocommit=True) as connection:
            grant = sql.SQL("GRANT CREATE ON DATABASE {} TO trial_weak")
            connection.execute(grant.format(sql.Identifier(connection.info.dbname)))
        done = cli("setup", "--database", role_with(fresh, "trial_weak"), "--reader", "another", "--yes")
        assert "The role trial_weak may not create the roles another." in done.stderr
        assert rows(fresh, "SELECT to_regnamespace('contactsync') IS NULL") == [(True,)]


def test_without_a_url_the_setup_says_what_it_needs(cli: CommandLine) -> None:
    """The embedded PostgreSQL needs no setup."""
    done = cli("setup", CONTACTSYNC_DATABASE__URL="")
    assert done.returncode == 64
    assert "needs the URL of a PostgreSQL of your own" in done.stderr
