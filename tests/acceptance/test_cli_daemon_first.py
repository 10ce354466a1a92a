"""Commands that read: the daemon answers if it can, else the database; both with the same documents."""

from __future__ import annotations

import grp
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import DaemonClient, running_daemon
from tests.support.definitions import PEOPLE
from tests.support.processes import CONTACTSYNC, CommandLine, assert_refused, run_command
from tests.support.resources import database_of, short_directory
from tests.support.waiting import PATIENCE

NOBODY = 65534
GROUP = next(group for group in grp.getgrall() if group.gr_gid not in {0, NOBODY})
READING = (
    ("status",),
    ("folders", "list"),
    ("folders", "show", "Staff"),
    ("folders", "rights", "show", "Staff"),
    ("runs",),
    ("runs", "Staff", "--limit", "5"),
    ("runs", "show", "1"),
    ("runs", "show", "1", "--limit", "0"),
    ("history", "Staff", "1"),
    ("explain", "Staff", "1"),
    ("explain", "Staff", "no-such-person"),
    ("audit",),
    ("audit", "Staff"),
    ("settings", "show"),
)
"""Every command that reads what the daemon knows."""
OF_A_DAEMON = {"daemon", "running", "live_since", "why_not_live", "next_run", "next_run_at"}
"""The fields that only a daemon knows, or that change while it runs."""


@pytest.fixture(scope="module")
def client(postgres_server: str, migrated_template: str) -> Iterator[DaemonClient]:
    """Run a daemon whose socket a group may use, and whose state directory is its own."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        PrivateSlapd(place / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory,
    ):
        place.chmod(0o711)
        (place / "run").mkdir(mode=0o755)
        settings = {"SOCKET": str(place / "run" / "control.sock"), "GROUP": GROUP.gr_name, "MODE": "0660"}
        named = {f"CONTACTSYNC_CONTROL__{name}": value for name, value in settings.items()}
        with running_daemon(database, directory, place, **named) as client:
            (place / "state").chmod(0o700)
            yield client


def member(
    client: DaemonClient, *arguments: str, groups: str = str(GROUP.gr_gid), **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who may use nothing of the daemon's but its socket, as a member of these groups."""
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={groups}"]
    if subprocess.run([*user, str(CONTACTSYNC), "--version"], capture_output=True, check=False).returncode:
        pytest.skip("the user nobody cannot run the programs")
    environ = {
        "PATH": os.environ["PATH"],
        "CONTACTSYNC_SETTINGS": os.devnull,
        "CONTACTSYNC_STATE__DIRECTORY": client.daemon.state,
        "CONTACTSYNC_CONTROL__SOCKET": str(client.path),
        **environ,
    }
    command = [*user, str(CONTACTSYNC), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another user")


@needs_root
@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_member_of_the_group_reads_everything(client: DaemonClient, arguments: tuple[str, ...]) -> None:
    """As docs/how-to/install.md promises: without a right on the state directory, the database or the key."""
    done = member(client, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout


@needs_root
def test_a_user_outside_of_the_group_learns_its_name(client: DaemonClient) -> None:
    """The exit code is 77, and the hint is the command that makes the user a member."""
    for arguments in (("status",), ("runs",), ("explain", "Staff", "1")):
        done = member(client, *arguments, groups=str(NOBODY))
        assert_refused(done, 77, str(client.path), f"usermod --append --groups {GROUP.gr_name} nobody")


@needs_root
def test_without_a_daemon_a_member_learns_that_none_listens(client: DaemonClient) -> None:
    """The user may not open the database, and only root can start the daemon."""
    nowhere = str(client.path.with_name("none.sock"))
    done = member(client, "status", CONTACTSYNC_CONTROL__SOCKET=nowhere)
    assert_refused(done, 77, f"No daemon listens at {nowhere}", "systemctl start contactsync.service")


@pytest.mark.parametrize("arguments", READING[:-1], ids=" ".join)
def test_the_document_is_the_same_without_the_daemon(client: DaemonClient, arguments: tuple[str, ...]) -> None:
    """The database answers then, and nothing but what only a daemon knows is different."""
    by_daemon = document(client, *arguments)
    by_database = document(client, *arguments, CONTACTSYNC_CONTROL__SOCKET="/nowhere/control.sock")
    assert by_daemon == by_database
    assert by_daemon


def document(client: DaemonClient, *arguments: str, **environ: str) -> Any:
    """The document of a command, without what only a daemon knows."""
    done = run_command(*arguments, "--json", environ=client.daemon.environ | environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, object_hook=lambda fields: {k: v for k, v in fields.items() if k not in OF_A_DAEMON})


def test_the_daemon_answers_without_a_database(client: DaemonClient) -> None:
    """The command does not open it: this one is not there."""
    nowhere = {"CONTACTSYNC_DATABASE__URL": "postgresql://127.0.0.1:1/nowhere"}
    done = run_command("runs", environ=client.daemon.environ | nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Staff" in done.stdout


def test_a_command_that_asks_the_daemon_loads_few_libraries(client: DaemonClient) -> None:
    """It starts in the time that Python, typer and rich take."""
    program = "import sys; from contactsync.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    for arguments in (("status",), ("folders", "list"), ("runs", "--limit", "5")):
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, env=client.daemon.environ, capture_output=True, text=True, check=True)
        assert "Staff" in done.stdout
        loaded = set(done.stderr.split())
        assert "http.client" in loaded
        assert {"importlib.metadata", "ldap3", "psycopg", "pydantic", "structlog"}.isdisjoint(loaded)


def test_an_error_of_the_daemon_is_that_of_the_command(client: DaemonClient) -> None:
    """Sentence, hint and exit code are the same with and without the daemon."""
    for arguments in (("folders", "show", "Staf"), ("runs", "show", "4711"), ("history", "Staff", "no-such-person")):
        answers = [
            run_command(*arguments, environ=client.daemon.environ | environ)
            for environ in ({}, {"CONTACTSYNC_CONTROL__SOCKET": "/nowhere/control.sock"})
        ]
        assert_refused(answers[0], 64)
        assert (answers[0].returncode, answers[0].stderr) == (answers[1].returncode, answers[1].stderr)


class OldDaemon(BaseHTTPRequestHandler):
    """Answers as a daemon of another release."""

    def do_GET(self) -> None:
        """Answer with an empty document."""
        self.send_response(200)
        self.send_header("contactsync-version", "0.0.9")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return "local"

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class UnixServer(socketserver.ThreadingUnixStreamServer):
    """A server on a Unix socket."""

    daemon_threads = True


def test_a_daemon_of_another_version_is_named(cli: CommandLine, short_path: Path) -> None:
    """After an upgrade without a restart: both versions, and what to do."""
    path = short_path / "old.sock"
    with UnixServer(str(path), OldDaemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = cli("status", CONTACTSYNC_CONTROL__SOCKET=str(path))
        server.shutdown()
    assert_refused(done, 1, "is of version 0.0.9", "systemctl restart contactsync.service")
