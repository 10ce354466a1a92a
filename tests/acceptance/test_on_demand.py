"""Runs on request by signals, SQL and the command line; and settings that are read again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import define, outcomes
from tests.support.peers import silent_server
from tests.support.processes import CommandLine, DaemonProcess
from tests.support.waiting import wait_until

Person = psycopg.Connection[Any]
Until = Callable[[Callable[[], Any], str], Any]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a slapd with forty people for the tests of this file, which only read it."""
    with PrivateSlapd(tmp_path_factory.mktemp("people") / "slapd", ldif=people_ldif(40, seed=7)) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Give the daemon's settings file."""
    file = tmp_path / "settings.toml"
    file.write_text("")
    return file


@pytest.fixture
def daemon(database: str, make_daemon: Callable[..., Any], directory: PrivateSlapd, settings: Path) -> DaemonProcess:
    """Start a daemon with a settings file."""
    daemon: DaemonProcess = make_daemon(database, READER=directory.reader_password, CONTACTSYNC_SETTINGS=str(settings))
    daemon.start()
    return daemon


def beside(daemon: DaemonProcess, cli: CommandLine) -> CommandLine:
    """The command line of the same installation as the daemon."""
    cli.environ["CONTACTSYNC_STATE__DIRECTORY"] = daemon.state
    return cli


def trigger(person: Person, definition_id: int) -> str:
    """The trigger of the newest run of a definition."""
    row = person.execute(
        "SELECT trigger FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id DESC LIMIT 1",
        [definition_id],
    ).fetchone()
    return str(row[0]) if row else ""


def test_sigusr1_runs_all_but_what_is_paused(daemon: DaemonProcess, person: Person, directory: PrivateSlapd) -> None:
    """Also definitions without a schedule."""
    manual = define(person, directory, "Manual", schedule="manual")
    hourly = define(person, directory, "Hourly")
    paused = define(person, directory, "Paused", enabled=False)
    wait_until(lambda: outcomes(person, hourly) == ["changed"], "the first run")
    daemon.send(signal.SIGUSR1)
    wait_until(lambda: outcomes(person, manual) == ["changed"], "the manual one")
    wait_until(lambda: outcomes(person, hourly) == ["changed", "unchanged"], "the hourly one, once more")
    assert outcomes(person, paused) == []


def test_sighup_changes_what_can_change_and_names_what_needs_a_restart(
    daemon: DaemonProcess, person: Person, directory: PrivateSlapd, settings: Path
) -> None:
    """A run's deadline and the log level change at once; the number of workers needs a restart."""
    settings.write_text("[directory]\ndeadline_seconds = 1\n[scheduler]\nworkers = 2\n[log]\nlevel = 'warning'\n")
    daemon.send(signal.SIGHUP)
    (line,) = wait_until(lambda: daemon.events("settings.need_restart"), "the warning")
    assert (line["level"], line["settings"]) == ("warning", ["scheduler.workers"])
    with silent_server() as port:
        staff = define(person, directory, query=f"127.0.0.1:{port}", base="dc=x")
        wait_until(lambda: outcomes(person, staff) == ["failed"], "the new deadline to pass")
    (line,) = wait_until(lambda: daemon.events("run.finished"), "the run's line")
    assert line["error_code"] == "run.deadline"
    assert not daemon.events("definition.scheduled")
    settings.write_text("[log]\nlevel = 'info'\n")
    daemon.send(signal.SIGHUP)
    (line,) = wait_until(lambda: daemon.events("settings.reloaded"), "the settings to be read")
    assert line["changed"] == ["directory.deadline_seconds", "log.level"]


def test_sighup_with_a_broken_file_changes_nothing(
    daemon: DaemonProcess, person: Person, directory: PrivateSlapd, settings: Path
) -> None:
    """The log has the error, and the old settings stay."""
    settings.write_text("[scheduler]\nworkers = 0\n")
    daemon.send(signal.SIGHUP)
    (line,) = wait_until(lambda: daemon.events("settings.refused"), "the refusal")
    assert "scheduler.workers is 0" in line["error"]
    staff = define(person, directory)
    wait_until(lambda: outcomes(person, staff) == ["changed"], "a run all the same")


def test_sigusr2_writes_the_status_into_the_log(daemon: DaemonProcess) -> None:
    """The log has one line."""
    daemon.send(signal.SIGUSR2)
    (line,) = wait_until(lambda: daemon.events("daemon.status"), "the line")
    assert (line["ready"], line["definitions"], line["running"], line["waiting"]) == (True, 0, [], 0)


def test_sql_asks_for_a_run_by_the_name_of_a_folder(
    daemon: DaemonProcess, person: Person, directory: PrivateSlapd
) -> None:
    """The function returns a ticket; NOTIFY works too; a wrong name is an error."""
    assert daemon.pid
    staff = define(person, directory, schedule="manual")
    assert person.execute("SELECT contactsync.request_sync('Staff') > 0").fetchone() == (True,)
    wait_until(lambda: outcomes(person, staff) == ["changed"], "the run")
    assert trigger(person, staff) == "request"
    person.execute("NOTIFY contactsync_requests, 'Staff'")
    wait_until(lambda: outcomes(person, staff) == ["changed", "unchanged"], "another run")
    with pytest.raises(psycopg.errors.NoDataFound, match='There is no folder "Stuff"'):
        person.execute("SELECT contactsync.request_sync('Stuff')")
    person.execute("NOTIFY contactsync_requests, 'Stuff'")
    wait_until(lambda: daemon.events("request.unknown", requested="Stuff"), "a warning about the name")
    person.execute("UPDATE contactsync.sync_definitions SET enabled = false")
    assert person.execute("SELECT contactsync.request_sync('Staff')").fetchone() == (None,)


def test_sql_names_a_folder_as_the_command_line_does(
    daemon: DaemonProcess, person: Person, directory: PrivateSlapd
) -> None:
    """A name that two folders have runs neither; their ids do, and a personal folder needs no owner if it is unique."""
    shared = define(person, directory, "anna/Private", schedule="manual")
    personal = define(person, directory, "Private", schedule="manual")
    person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Private'")
    diary = define(person, directory, "Diary", schedule="manual")
    person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Diary'")
    person.execute("NOTIFY contactsync_requests, 'anna/Private'")
    wait_until(lambda: daemon.events("request.ambiguous", requested="anna/Private"), "a warning about the name")
    person.execute(f"NOTIFY contactsync_requests, 'id:{personal}'")
    person.execute("NOTIFY contactsync_requests, 'Diary'")
    wait_until(lambda: [outcomes(person, each) for each in (personal, diary)] == [["changed"]] * 2, "the runs")
    assert outcomes(person, shared) == []


def test_what_sql_asks_for_while_no_daemon_is_there_is_done_later(
    daemon: DaemonProcess, person: Person, directory: PrivateSlapd
) -> None:
    """The request is stored, and a run answers it once."""
    staff = define(person, directory, schedule="manual")
    other = define(person, directory, "Other", schedule="manual")
    assert daemon.stop() == 0
    person.execute("SELECT contactsync.request_sync('Staff')")
    daemon.start()
    wait_until(lambda: outcomes(person, staff) == ["changed"], "the run")
    daemon.send(signal.SIGHUP)
    wait_until(lambda: daemon.events("settings.reloaded"), "another look at everything")
    person.execute("SELECT contactsync.request_sync('Other')")
    # Notified and found by the rescan at the same moment, it may run twice.
    wait_until(lambda: outcomes(person, other)[:1] == ["changed"], "a later request")
    assert outcomes(person, staff) == ["changed"]


def test_a_hundred_requests_during_a_run_are_one_run_after_it(
    daemon: DaemonProcess, person: Person, directory: PrivateSlapd
) -> None:
    """The current run has read the directory before the requests; one more run is enough for all of them."""
    assert daemon.pid
    with silent_server() as port:

        def requested_in_time(seconds: int) -> int | None:
            """The id of a definition that got all requests during its first run, which has this deadline."""
            silent = {"query": f"127.0.0.1:{port}", "base": "dc=x", "deadline_seconds": seconds}
            definition_id = define(person, directory, f"Staff {seconds}", **silent, schedule="manual")
            request = f"SELECT contactsync.request_sync('Staff {seconds}')"
            person.execute(request)
            wait_until(lambda: outcomes(person, definition_id) == [None], "the run to begin")
            for _ in range(100):
                person.execute(request)
            return definition_id if outcomes(person, definition_id) == [None] else None

        staff = requested_in_time(2) or requested_in_time(10) or requested_in_time(50)
        assert staff, "this machine is too busy for a hundred requests in 50 s"
        wait_until(lambda: len(outcomes(person, staff)) == 2 and None not in outcomes(person, staff), "both runs")
    other = define(person, directory, "Other")
    wait_until(lambda: outcomes(person, other) == ["changed"], "a later run")
    assert outcomes(person, staff) == ["failed", "failed"]


def test_the_command_line_leaves_a_run_to_the_daemon(
    daemon: DaemonProcess, cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """With or without waiting, one or all; the output is the daemon's result."""
    command = beside(daemon, cli)
    staff = define(person, directory, schedule="manual")
    wait_until(
        lambda: daemon.events("control.call") or command("sync", "Staff").returncode == 0, "the daemon to know it"
    )
    assert daemon.wait_for_event("run.finished", definition=staff, outcome="changed")
    (run,) = command.json("sync", "--all")["runs"]
    assert (run["label"], run["outcome"], run["trigger"]) == ("Staff", "unchanged", "manual")
    done = command("sync", "Staff", "--no-wait")
    assert done.returncode == 0
    assert "The daemon will run Staff." in done.stdout
    wait_until(lambda: len(outcomes(person, staff)) == 3, "the third run")
    code, shown = command.in_terminal("sync", "Staff")
    assert code == 0
    assert "Staff: nothing changed in 40 entries from" in shown
    assert command("sync", "Stuff").returncode == 64
    assert daemon.wait_for_event("control.call", path="/v1/sync", outcome="done")


def test_the_command_line_leaves_an_undo_to_the_daemon(
    daemon: DaemonProcess, cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """So that the daemon's events and metrics have it."""
    command = beside(daemon, cli)
    define(person, directory, schedule="manual")
    run_id = command.json("sync", "Staff")["runs"][0]["run_id"]
    undone = command.json("undo", str(run_id), "--yes")
    assert (undone["run"]["undoes"], undone["run"]["deleted"], undone["paused"]) == (run_id, 40, True)
    assert daemon.wait_for_event("control.call", path=f"/v1/runs/{run_id}/undo", outcome="done")


def test_a_folder_with_a_number_for_a_name_is_no_id(
    daemon: DaemonProcess, cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """`sync Staff` runs Staff, also beside a folder that is named like its id."""
    command = beside(daemon, cli)
    define(person, directory, "2", schedule="manual")
    staff = define(person, directory, schedule="manual")
    wait_until(lambda: command.json("status")["daemon"]["definitions"] == 2, "the daemon to follow both")
    (run,) = command.json("sync", "Staff")["runs"]
    assert (run["definition_id"], run["label"]) == (staff, "Staff")


def test_all_of_more_than_a_thousand_folders_run_by_one_request(
    daemon: DaemonProcess, cli: CommandLine, person: Person
) -> None:
    """The command line names none of them."""
    command = beside(daemon, cli)
    person.execute(
        """
        WITH f AS (INSERT INTO contactsync.folders (name)
                   SELECT 'Folder ' || n FROM generate_series(1, 1100) AS n RETURNING folder_id)
        INSERT INTO contactsync.sync_definitions (folder_id, query, schedule)
        SELECT folder_id, 'localhost', 'manual' FROM f
        """
    )
    wait_until(lambda: command.json("status")["daemon"]["definitions"] == 1100, "the daemon to follow them")
    done = command("sync", "--all", "--no-wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1,100 definitions" in done.stdout


def test_without_a_daemon_the_command_line_runs_all_by_itself(
    cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """The runs follow one another; a command that needs a daemon says so."""
    cli.environ["READER"] = directory.reader_password
    define(person, directory)
    define(person, directory, "Paused", enabled=False)
    assert [run["label"] for run in cli.json("sync", "--all")["runs"]] == ["Staff"]
    done = cli("sync", "Staff", "--no-wait")
    assert done.returncode == 64
    assert "No daemon is running" in done.stderr
    assert cli("sync").returncode == cli("sync", "Staff", "--all").returncode == 64


def test_status_shows_what_the_daemon_says_of_itself(daemon: DaemonProcess, cli: CommandLine) -> None:
    """The status has its process."""
    command = beside(daemon, cli)
    assert f"running, process {daemon.pid}" in command("status").stdout
    assert command.json("status")["daemon"]["pid"] == daemon.pid
    daemon.stop()
    assert json.loads(command("status", "--json").stdout)["daemon"] is None
