"""Passwords that an application seals and writes by SQL, with the examples of docs/reference/sql.md and one daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support import roles
from tests.support.definitions import PEOPLE, Person, define, outcomes, state
from tests.support.processes import DaemonProcess
from tests.support.resources import database_of
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "sql.md").read_text(encoding="utf-8")
COLUMNS = "SELECT key_id, public_key, contactsync.password_binding(%s) FROM contactsync.public_key"
WRITE = "UPDATE contactsync.sync_definitions SET password_new = %s WHERE definition_id = %s"


@dataclass(frozen=True, slots=True)
class Place:
    """A database with a daemon and a directory; `application` has the rights of an application only."""

    conninfo: str
    application: Person
    owner: Person
    directory: PrivateSlapd
    daemon: DaemonProcess

    def define(self, name: str) -> int:
        """Add a definition that lacks its password, and wait until the daemon says so."""
        definition = define(self.owner, self.directory, name, password_ref=None)
        wait_until(lambda: self.state(definition)[0] == "invalid", "the definition to lack its password")
        return definition

    def state(self, definition: int) -> Any:
        """The state and the reason of a definition, as the application sees them."""
        return state(self.application, definition)

    def password(self, definition: int) -> tuple[Any, ...] | None:
        """Both passwords of a definition in the database."""
        statement = "SELECT password_new, password_sealed FROM contactsync.sync_definitions WHERE definition_id = %s"
        return self.owner.execute(statement, [definition]).fetchone()

    def deeds(self, definition: int) -> list[tuple[str, str]]:
        """Who did what about passwords of a definition."""
        statement = "SELECT database_role, action FROM contactsync.audit WHERE definition_id = %s AND action ~ 'pass'"
        return self.owner.execute(statement, [definition]).fetchall()

    def wait_for_run(self, definition: int) -> None:
        """Wait until the password is stored and the folder is filled."""
        wait_until(lambda: outcomes(self.owner, definition) == ["changed"], lambda: str(self.state(definition)))
        stored = "SELECT password_stored FROM contactsync.definition_overview WHERE definition_id = %s"
        assert self.application.execute(stored, [definition]).fetchone() == (True,)
        new, sealed = self.password(definition) or (b"", b"")
        assert new is None
        assert sealed[:1] == b"\x02"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, postgres_server: str, migrated_template: str) -> Iterator[Place]:
    """Start a directory and a daemon."""
    path = tmp_path_factory.mktemp("sealed")
    with (
        database_of(postgres_server, template=migrated_template) as conninfo,
        PrivateSlapd(path / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory,
    ):
        roles.carry_out(conninfo, "roles.sql")
        application = roles.role_with(conninfo, "sealing_application", "contactsync_application")
        role_of_daemon = roles.role_with(conninfo, "sealing_daemon", "contactsync_daemon")
        (path / "daemon").mkdir()
        daemon = DaemonProcess(role_of_daemon, path / "daemon")
        daemon.start()
        try:
            with roles.connected(application) as person, roles.connected(conninfo) as owner:
                yield Place(conninfo, person, owner, directory, daemon)
        finally:
            daemon.end()


def example(language: str, name: str) -> str:
    """The example of the page with this function."""
    (block,) = re.findall(rf"^```{language}\n((?:(?!^```).)*?{name}.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def set_password(connection: Person, definition: int, password: str) -> None:
    """Carry out the function of the page."""
    names: dict[str, Any] = {}
    exec(example("python", "def set_password"), names)  # noqa: S102  (a page of this project)
    names["set_password"](connection, definition, password)


def test_the_python_of_the_page(place: Place) -> None:
    """The daemon runs the folder with the password, which is in no row and no record as text."""
    definition = place.define("Python")
    set_password(place.application, definition, place.directory.reader_password)
    place.wait_for_run(definition)
    assert place.deeds(definition) == [("sealing_application", "password.set")]
    text = place.owner.execute("SELECT string_agg(a::text, ' ') FROM contactsync.audit AS a").fetchone()
    password = place.directory.reader_password
    for written in (password, password.encode().hex()):
        assert written not in str(text)
        assert written not in place.daemon.text()


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed.")
def test_the_javascript_of_the_page(place: Place, tmp_path: Path) -> None:
    """As it stands there."""
    definition = place.define("JavaScript")
    program = tmp_path / "seal.mjs"
    call = "const [k, p, b] = process.argv.slice(2, 5).map((hex) => Buffer.from(hex, 'hex'));"
    output = "console.log(sealPassword(k, p, b, process.argv[5]).toString('hex'));"
    program.write_text(f"{example('javascript', 'sealPassword')}\n{call}\n{output}\n", encoding="utf-8")
    columns = place.application.execute(COLUMNS, [definition]).fetchone() or ()
    command = ["node", program, *(column.hex() for column in columns), place.directory.reader_password]
    sealed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    place.application.execute(WRITE, [bytes.fromhex(sealed.strip()), definition])
    place.wait_for_run(definition)


def test_a_password_for_another_server_is_refused(place: Place) -> None:
    """The definition is not valid until a password for its present server comes; the old one is not sent there."""
    definition = place.define("Moved")
    with place.application.transaction():
        set_password(place.application, definition, place.directory.reader_password)
        place.application.execute(
            "UPDATE contactsync.sync_definitions SET query = replace(query, '127.0.0.1', 'localhost')"
            " WHERE definition_id = %s",
            [definition],
        )
    wait_until(lambda: "was altered, or was sealed for" in str(place.state(definition)), "the refusal")
    assert place.state(definition)[0] == "invalid"
    assert outcomes(place.owner, definition) == []
    stale = (
        "SELECT contactsync.accept_password(definition_id, revision - 1, password_new)"
        " FROM contactsync.sync_definitions WHERE definition_id = %s"
    )
    assert place.owner.execute(stale, [definition]).fetchone() == (None,)

    def refusals() -> list[bool]:
        events = [each for each in place.daemon.events("definition.invalid") if each["definition"] == definition]
        return [" altered" in each["reason"] for each in events]

    # The daemon logs after its commit, which the state above has shown.
    wait_until(lambda: refusals() == [False, True], lambda: f"both refusals in the log: {refusals()}")
    set_password(place.application, definition, place.directory.reader_password)
    place.wait_for_run(definition)


def test_an_application_can_only_write_it(place: Place) -> None:
    """It reads neither form of the password, and has no right to write the key that programs seal with."""
    definition = place.define("Rights")
    for statement in (
        "SELECT password_new FROM contactsync.sync_definitions",
        "SELECT password_sealed FROM contactsync.sync_definitions",
        "UPDATE contactsync.public_key SET public_key = public_key",
        "UPDATE contactsync.sync_definitions SET password_stored = true",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.application.execute(statement.encode())
    with pytest.raises(psycopg.errors.CheckViolation):
        place.application.execute(WRITE, [b"short", definition])
