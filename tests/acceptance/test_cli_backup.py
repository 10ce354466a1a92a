"""`contactsync dump` and `contactsync restore`."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from contactsync.operations.backup.programs import find_programs
from contactsync.store.embedded.cluster import SUPERUSER
from tests.support.definitions import PEOPLE, Person, count
from tests.support.processes import CommandLine, assert_refused
from tests.support.resources import database_of

PASSWORD = "swordfish-4711"
CONTACTS = "SELECT contact_id, folder_id, display_name, fingerprint FROM contactsync.contacts ORDER BY contact_id"
MANY = """
    INSERT INTO contactsync.contacts (folder_id, display_name)
    SELECT folder_id, md5(random()::text) FROM contactsync.folders, generate_series(1, 10000)
"""


def as_superuser(conninfo: str, statements: str) -> None:
    """Execute statements in a database."""
    with psycopg.connect(conninfo, user=SUPERUSER, autocommit=True) as connection:
        connection.execute(statements.encode())


@pytest.fixture
def other(postgres_server: str, tmp_path: Path) -> Iterator[CommandLine]:
    """Give the command line of an empty database, with the same key."""
    with database_of(postgres_server) as conninfo:
        yield CommandLine(conninfo, tmp_path)


@pytest.fixture
def dump(cli: CommandLine, person: Person, tmp_path: Path) -> Path:
    """Give the dump of a database with a folder, 10,000 contacts of its own and a sealed password."""
    cli.ok("folders", "add", "Sealed", "--query", "dc1", "--user", "cn=x", "--password-stdin", typed=f"{PASSWORD}\n")
    person.execute(MANY)
    path = tmp_path / "contactsync.dump"
    assert f"Wrote {path}" in cli.ok("dump", str(path))
    return path


def test_a_dump_is_restored_elsewhere(
    staff: int, cli: CommandLine, person: Person, other: CommandLine, tmp_path: Path
) -> None:
    """With the same ids; the next run there finds nothing to do."""
    cli.ok("sync", "Staff")
    path = tmp_path / "staff.dump"
    assert cli.json("dump", str(path))["bytes"] == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_refused(cli("dump", str(path)), 64, "exists already")
    planned = other.json("restore", str(path), "--dry-run")
    assert (planned["folders"], planned["carried_out"], planned["kept_as"]) == (1, False, None)
    assert f"Restored {path}." in other.ok("restore", str(path), "--yes")
    with psycopg.connect(other.environ["CONTACTSYNC_DATABASE__URL"]) as restored:
        assert restored.execute(CONTACTS).fetchall() == person.execute(CONTACTS).fetchall()
    assert other.json("audit")[0]["action"] == "database.restored"
    other.environ["READER"] = cli.environ["READER"]
    assert f"nothing changed in {PEOPLE} entries" in other.ok("sync", "Staff")
    assert other.json("folders", "show", "Staff")["definition_id"] == staff


def test_nothing_that_is_there_is_lost(cli: CommandLine, person: Person, dump: Path) -> None:
    """A database with folders is refused, or kept in another schema; an answer is needed."""
    person.execute("UPDATE contactsync.folders SET name = 'Later'")
    assert "has 1 folder with 10,000 contacts" in cli("restore", str(dump), "--yes").stderr
    asked = cli("restore", str(dump), "--replace")
    assert (asked.returncode, "There is no terminal" in asked.stderr) == (64, True)
    assert person.execute("SELECT name FROM contactsync.folders").fetchall() == [("Later",)]
    plan = cli.json("restore", str(dump), "--replace", "--yes")
    assert (plan["passwords"], plan["passwords_fitting"], plan["key_problem"]) == (1, 1, None)
    assert person.execute("SELECT name FROM contactsync.folders").fetchall() == [("Sealed",)]
    kept = sql.SQL("SELECT name FROM {}.folders").format(sql.Identifier(plan["kept_as"]))
    assert person.execute(kept).fetchall() == [("Later",)]


@pytest.mark.parametrize("cut", [0.1, 0.5])
def test_a_damaged_dump_changes_nothing(cli: CommandLine, person: Person, dump: Path, cut: float) -> None:
    """Wherever it ends: in the list of what it holds, or in the data."""
    octets = dump.read_bytes()
    dump.write_bytes(octets[: int(len(octets) * cut)])
    done = cli("restore", str(dump), "--replace", "--yes")
    assert done.returncode in {64, 69}
    assert done.stderr.startswith("Error: ")
    assert person.execute("SELECT name FROM contactsync.folders").fetchall() == [("Sealed",)]
    assert person.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '_before_'").fetchall() == [(0,)]


def test_a_key_that_does_not_fit_is_reported_before(
    other: CommandLine, dump: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another key, and none; the dump can be restored all the same."""
    state = tmp_path_factory.mktemp("state")
    other.environ["CONTACTSYNC_STATE__DIRECTORY"] = str(state)
    assert "There is no key file" in other.json("restore", str(dump), "--dry-run")["key_problem"]
    assert not (state / "secret.key").exists()
    with database_of(other.environ["CONTACTSYNC_DATABASE__URL"]) as third:
        stranger = CommandLine(third, state)
        stranger.environ["CONTACTSYNC_STATE__DIRECTORY"] = str(state)
        stranger.ok("folders", "add", "A", "--query", "dc1", "--user", "x@y", "--password-stdin", typed="another\n")
    shown = other.ok("restore", str(dump), "--yes")
    assert "1; the key here opens 0" in shown
    assert "and the dump needs" in shown


def test_roles_that_are_not_there_are_named(
    cli: CommandLine, database: str, other: CommandLine, tmp_path: Path
) -> None:
    """Their rights are left out; everything else is restored."""
    as_superuser(database, "CREATE ROLE trial_gone; GRANT SELECT ON contactsync.contacts TO trial_gone")
    path = tmp_path / "contactsync.dump"
    try:
        cli.ok("dump", str(path))
    finally:
        as_superuser(database, "DROP OWNED BY trial_gone; DROP ROLE trial_gone")
    shown = other.ok("restore", str(path), "--yes")
    assert "not restored, because there is no role trial_gone" in shown
    assert "contactsync setup" in shown


def test_dumps_of_other_releases(cli: CommandLine, person: Person, other: CommandLine, tmp_path: Path) -> None:
    """An older one is updated after it; a newer one is refused, and so is a file that is no dump."""
    newer, text = tmp_path / "newer.dump", tmp_path / "text.sql"
    person.execute("INSERT INTO contactsync.schema_migrations VALUES ('9999.later')")
    cli.ok("dump", str(newer))
    assert_refused(other("restore", str(newer), "--yes"), 64, "made by a newer release: it has 9999.later")
    text.write_text("SELECT 1;\n", encoding="utf-8")
    assert_refused(other("restore", str(text), "--yes"), 64, "cannot be used", "custom format")
    assert_refused(other("restore", str(tmp_path / "none")), 64, "There is no file")
    assert_refused(other("dump", str(tmp_path / "empty.dump")), 69, "There is nothing of contactsync in the database")
    assert_refused(cli("dump", str(tmp_path / "no" / "x.dump")), 1, "cannot be written: No such file or directory")
    assert count(person, "folders") == 0


def test_a_dump_goes_to_a_pipe_but_not_to_a_terminal(cli: CommandLine, dump: Path) -> None:
    """`-` is standard output."""
    with dump.open("wb") as file:
        assert cli.start("dump", "-", stdout=file).wait(60) == 0
    assert dump.read_bytes().startswith(b"PGDMP")
    exit_code, shown = cli.in_terminal("dump", "-")
    assert (exit_code, "Redirect it to a file." in shown) == (64, True)


def test_no_password_is_in_the_arguments_of_a_program() -> None:
    """Every user of the machine can read them."""
    with tempfile.TemporaryFile() as errors:
        conninfo = f"postgresql://contactsync:{PASSWORD}@127.0.0.1:1/contacts"
        with find_programs(14).start("psql", conninfo=conninfo, errors=errors) as process:
            assert PASSWORD not in str(process.args)
        errors.seek(0)
        assert PASSWORD.encode() not in errors.read()
