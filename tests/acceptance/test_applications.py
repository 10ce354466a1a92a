"""The programs of docs/how-to/applications.md: a dialog and a menu, as another program has them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contactsync.testing.slapd import PrivateSlapd
from tests.support import roles
from tests.support.definitions import PEOPLE, Person, count
from tests.support.tls_api import TlsApi

REFUSED = (
    "The stored password belongs to other servers, another user or other TLS settings than the definition has now, "
    "or to another definition"
)
FILLED, UNCHANGED = (f"changed {PEOPLE} inserted 0 updated 0 deleted", "unchanged 0 inserted 0 updated 0 deleted")
DOCS = Path(__file__).parents[2] / "docs"


def programs(page: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


class Dialog:
    """One of the programs, in a folder of its own."""

    def __init__(self, directory: Path, program: str, **environ: str) -> None:
        self._file = directory / "dialog.py"
        self._file.write_text(program, encoding="utf-8")
        self._environ = environ

    def enter(self, query: str, user: str, password: str, *, folder: str = "Staff") -> tuple[str, int]:
        """Answer the three questions; returns what is shown after them, and the exit code."""
        ended = subprocess.run(
            [sys.executable, self._file, folder],
            input=f"{query}\n{user}\n{password}\n",
            env=os.environ | self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            start_new_session=True,  # without a terminal, getpass reads stdin
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        shown = ended.stderr if ended.returncode else ended.stdout.rpartition("]: ")[2]
        return shown.strip(), ended.returncode


def test_the_program_that_uses_the_api(api: TlsApi, tmp_path: Path) -> None:
    """It adds the folder, fills it, shows wrong fields, and gives the password again for another server."""
    (program,) = [block for block in programs("how-to/applications.md") if "urllib" in block]
    directory, password = api.local.directory, api.local.directory.reader_password
    token = api.token("read", "sync", "edit", folders=["Dialog"])
    dialog = Dialog(tmp_path, program, API_URL=api.url, API_CA=str(api.files.authority), API_TOKEN=token)
    query = f"{directory.tls_url}/{directory.people_base}"
    shown, code = dialog.enter("http://localhost", directory.reader_dn, password, folder="Dialog")
    assert ("/query: " in shown, code) == (True, 1), shown
    # The daemon makes a first run by itself, which may be over before the one of the menu.
    shown, code = dialog.enter(query, directory.reader_dn, password, folder="Dialog")
    assert (shown in {FILLED, UNCHANGED}, code) == (True, 0), shown
    (definition,) = api.local.definitions(name="Dialog")
    assert definition["contacts"] == PEOPLE
    assert dialog.enter("", "", "", folder="Dialog") == (UNCHANGED, 0)
    moved = query.replace("localhost", "127.0.0.1")
    shown, code = dialog.enter(moved, "", "", folder="Dialog")
    assert ("/password: " in shown, code) == (True, 1), shown
    assert dialog.enter(moved, "", password, folder="Dialog") == (UNCHANGED, 0)
    assert dialog.enter("", "", "", folder="Staff")[1] == 1
    assert api.local.http.delete(f"/v1/definitions/{definition['definition_id']}").is_success


def test_the_program_in_sql(
    database: str, person: Person, directory: PrivateSlapd, make_daemon: Callable[..., Any], tmp_path: Path
) -> None:
    """It adds the folder, fills it, keeps the password of an unchanged user, and wants it for another server."""
    roles.carry_out(database, "roles.sql")
    application = roles.role_with(database, "dialog_application", "contactsync_application")
    functions = [
        block for block in programs("reference/sql.md") if "def set_password" in block or "def synchronize" in block
    ]
    (tmp_path / "contactsync_sql.py").write_text("\n".join(functions), encoding="utf-8")
    (program,) = [block for block in programs("how-to/applications.md") if "psycopg" in block]
    dialog = Dialog(tmp_path, program, DATABASE=application)
    make_daemon(database, SSL_CERT_FILE=str(directory.ca_file)).start()
    query = f"{directory.tls_url}/{directory.people_base}"
    shown, code = dialog.enter(query, directory.reader_dn, directory.reader_password)
    assert (shown in {"done changed", "done unchanged"}, code) == (True, 0), shown
    assert count(person) == PEOPLE
    assert dialog.enter("", "", "") == ("done unchanged", 0)
    shown, code = dialog.enter(query.replace("localhost", "127.0.0.1"), "", "")
    assert (shown.partition(".")[0], code) == (f"done failed {REFUSED}", 0)
    assert dialog.enter("", "", directory.reader_password) == ("done unchanged", 0)
