"""What all commands have in common: help, wrong usage, exit codes, terminals and pipes; `status` and `migrate`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contactsync.store.definitions import add_definition, add_folder
from contactsync.store.migration import migration_names
from tests.support.definitions import Person
from tests.support.processes import CommandLine, assert_refused, visible_lines, width
from tests.support.waiting import PATIENCE, wait_until


@pytest.mark.parametrize("arguments", [[], ["folders"]])
def test_a_call_without_a_command_shows_the_help_as_an_error(cli: CommandLine, arguments: list[str]) -> None:
    """Without a command the help goes to stderr, and the exit code is that of wrong usage."""
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Usage: contactsync")


def test_the_package_is_a_program() -> None:
    """`python -m contactsync` is the same command, with its exit codes."""
    done = subprocess.run([sys.executable, "-m", "contactsync", "sync"], capture_output=True, text=True, check=False)
    assert_refused(done, 64, "Give either a NAME or --all.")


def test_the_help_loads_no_library_that_only_commands_need() -> None:
    """Help and completion are fast."""
    program = "import sys, contactsync.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert {"ldap3", "psycopg", "pydantic", "structlog"}.isdisjoint(loaded.split())


def test_a_command_that_reads_loads_neither_ldap_nor_the_server(cli: CommandLine) -> None:
    """Without a daemon, too, it starts without the libraries of runs and of the API."""
    program = "import sys; from contactsync.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    for arguments in (("status",), ("folders", "list"), ("runs",), ("tokens", "list"), ("audit",)):
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, env=cli.environ, capture_output=True, text=True, check=True)
        loaded = set(done.stderr.split())
        assert "psycopg" in loaded
        assert {"anyio", "apscheduler", "fastapi", "ldap3", "tenacity", "uvicorn"}.isdisjoint(loaded)


def test_the_help_names_the_exit_codes_and_fits_a_terminal(cli: CommandLine) -> None:
    """The help explains the exit codes, and no line of any help is wider than 80 columns."""
    assert "3 held" in cli.ok("--help")
    for command in (["folders", "add"], ["folders", "edit"], ["sync"]):
        exit_code, shown = cli.in_terminal(*command, "--help")
        assert (exit_code, width(shown) <= 80) == (0, True)


def test_the_help_of_add_shows_the_forms_of_a_query(cli: CommandLine) -> None:
    """A user who adds a folder finds the forms of a query in the help."""
    shown = cli.ok("folders", "add", "--help")
    assert "LDAP://OU=Users,DC=example,DC=com" in shown
    assert "ldaps://dc1.example.com/OU=Users" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], "No such command 'frob'"),
        (["folders", "list", "--jsn"], "--jsn"),
        (["folders", "add", "Staff"], "Missing option '--query'"),
        (["folders", "add", "Staff", "--query", "dc1", "--page-size", "-1"], "--page-size"),
        (["folders", "add", "Staff", "--query", "dc1", "--password", "x"], "--password"),
        (["folders", "list", "--settings", "x"], "goes before the command"),
    ],
)
def test_wrong_usage_ends_with_64_and_a_sentence(cli: CommandLine, arguments: list[str], words: str) -> None:
    """An unknown command, option or value is named."""
    assert_refused(cli(*arguments), 64, words)


def test_wrong_settings_end_with_78_and_name_the_key(cli: CommandLine) -> None:
    """A setting that is not valid, or a file that is not there, is named before anything is done."""
    assert_refused(cli("status", CONTACTSYNC_SCHEDULER__WORKERS="many"), 78, "scheduler.workers")
    assert_refused(cli("--settings", "/nowhere/settings.toml", "status"), 78, "/nowhere/settings.toml")


def test_an_unreachable_database_ends_with_69_without_its_password(cli: CommandLine) -> None:
    """The message does not contain the password of the database's URL."""
    done = cli("folders", "list", CONTACTSYNC_DATABASE__URL="postgresql://anna:hunter22@127.0.0.1:1/x")
    assert_refused(done, 69, "PostgreSQL cannot be reached")
    assert "hunter22" not in done.stderr


def test_a_reader_that_closes_the_pipe_ends_the_command_in_silence(cli: CommandLine) -> None:
    """The exit code is the one of SIGPIPE, and stderr stays empty."""
    reading, writing = os.pipe()
    os.close(reading)
    process = cli.start("folders", "list", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (141, "")


def test_a_table_fits_the_terminal_and_is_plain_elsewhere(cli: CommandLine, person: Person) -> None:
    """A terminal of 80 columns folds long names; in a pipe each row is one line without escape sequences."""
    name = "A folder with quite a long name for those who like to be exact about what it holds"
    add_definition(person, add_folder(person, name, "annelise.von.der.waterkant"), {"query": "dc1"})
    _, shown = cli.in_terminal("folders", "list")
    assert width(shown) <= 80
    plain = cli.ok("folders", "list")
    assert f"annelise.von.der.waterkant/{name}  never run" in plain
    assert "\x1b" not in plain


@pytest.mark.parametrize(
    "arguments", [["folders", "list"], ["status"], ["folders", "show", "社員名簿"], ["sync", "-h"]]
)
def test_forty_columns_break_no_word(cli: CommandLine, person: Person, short_path: Path, arguments: list[str]) -> None:
    """A row of a table becomes a paragraph, and a long value goes below its heading; wide letters count twice."""
    cli.environ["CONTACTSYNC_STATE__DIRECTORY"] = str(short_path)  # a longer path is broken, anywhere
    query = "ldaps://dc1.example.com/OU=社員"
    add_definition(person, add_folder(person, "社員名簿", None), {"query": query})
    _, shown = cli.in_terminal(*arguments, columns=40)
    lines = [line for line in visible_lines(shown) if not line.startswith("  contactsync ")]  # commands can be copied
    assert width("\n".join(lines)) <= 40
    expected = {"list": "never run", "status": "never run", "社員名簿": query, "-h": "Synchronize"}
    assert any(expected[arguments[-1]] in line for line in lines), shown
    assert not any(line.strip() in {"e", "d", "n", "y", "s", "ed"} for line in lines), shown


def test_status_knows_whether_a_daemon_follows_the_database(
    cli: CommandLine, database: str, person: Person, make_daemon: Callable[..., Any]
) -> None:
    """Status shows whether a daemon runs, the states of the definitions, and the database."""
    add_definition(person, add_folder(person, "Staff", None), {"query": "127.0.0.1:1", "enabled": False})
    assert cli.json("status")["daemon_running"] is False
    daemon = make_daemon(database)
    daemon.start()
    status = wait_until(lambda: (now := cli.json("status"))["daemon_running"] and now, "status to see the daemon")
    assert status["definitions"] == {"paused": 1}
    assert status["database"]["embedded"] is False
    assert daemon.stop() == 0


def test_a_sign_in_link_needs_a_daemon(cli: CommandLine) -> None:
    """The refusal says how to start one, with systemd or without."""
    done = cli("web", "sign-in", CONTACTSYNC_CONTROL__SOCKET="/nowhere/control.sock")
    assert_refused(done, 1, "No daemon listens at /nowhere/control.sock", "or `contactsync daemon`")


def test_status_shows_the_database_without_its_password(cli: CommandLine, database: str) -> None:
    """The password of the connection string is left out."""
    done = cli("status", CONTACTSYNC_DATABASE__URL=f"{database} password=hunter22")
    assert done.returncode == 0
    assert "dbname=" in done.stdout
    assert "hunter22" not in done.stdout + done.stderr


def test_status_says_that_the_embedded_database_stops_without_a_daemon(
    cli: CommandLine, make_daemon: Callable[..., Any], short_path: Path
) -> None:
    """Its psql command does not work then."""
    cli.environ |= {"CONTACTSYNC_DATABASE__URL": "", "CONTACTSYNC_STATE__DIRECTORY": str(short_path)}
    cli.ok("migrate")
    assert re.search(r"^Database +embedded .*; without a daemon it runs only while", cli.ok("status"), re.MULTILINE)
    daemon = make_daemon("", CONTACTSYNC_STATE__DIRECTORY=str(short_path))
    daemon.start()
    assert re.search(r"^Database +embedded \(PostgreSQL [0-9.]+\)$", cli.ok("status"), re.MULTILINE)
    assert daemon.stop() == 0


def test_migrate_lists_what_it_applied(cli: CommandLine, person: Person) -> None:
    """On an empty database every migration is applied, the second time none."""
    person.execute("DROP SCHEMA contactsync CASCADE")
    first, second = cli.json("migrate")["migrations"], cli.json("migrate")["migrations"]
    assert [migration["name"] for migration in first] == [migration["name"] for migration in second]
    assert all(migration["applied_now"] for migration in first)
    assert not any(migration["applied_now"] for migration in second)


@pytest.mark.parametrize(
    "command", ["status", "folders list", "runs", "explain Staff Anna", "history Staff Anna", "sync x"]
)
def test_a_command_that_reads_creates_no_database(
    cli: CommandLine, person: Person, tmp_path: Path, command: str
) -> None:
    """Neither the embedded one nor a schema: it says where it looked and what makes one."""
    done = cli(*command.split(), CONTACTSYNC_DATABASE__URL="")
    assert_refused(done, 69, "There is no database yet", str(tmp_path / "state"), "contactsync folders add")
    assert not (tmp_path / "state").exists()
    person.execute("DROP SCHEMA contactsync CASCADE")
    done = cli(*command.split())
    assert_refused(done, 69, "There is nothing of contactsync in the database", "contactsync migrate")
    assert person.execute("SELECT to_regnamespace('contactsync')").fetchone() == (None,)


def test_a_command_that_reads_changes_no_older_schema(cli: CommandLine, person: Person) -> None:
    """It names what is missing, and the commands that update the schema."""
    missing = migration_names()[-1]
    person.execute("DELETE FROM contactsync.schema_migrations WHERE name = %s", [missing])
    assert_refused(cli("status"), 69, f"an older release: it lacks {missing}", "contactsync migrate")
    assert person.execute("SELECT count(*) FROM contactsync.schema_migrations").fetchone() == (
        len(migration_names()) - 1,
    )
