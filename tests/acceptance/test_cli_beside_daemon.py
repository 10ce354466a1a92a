"""Commands beside a running daemon: its runs are left and cancelled; completion; the check for monitoring."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.support.definitions import Person, outcomes
from tests.support.peers import silent_server
from tests.support.processes import CommandLine, DaemonProcess, assert_refused
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def daemon(database: str, make_daemon: Callable[..., DaemonProcess], cli: CommandLine) -> DaemonProcess:
    """Start a daemon whose runs pause for long after a failed attempt; the command line asks it."""
    pause = {f"CONTACTSYNC_DIRECTORY__RETRY_{name}_SECONDS": "600" for name in ("BASE", "MAX")}
    daemon = make_daemon(database, **pause)
    daemon.start()
    cli.environ["CONTACTSYNC_STATE__DIRECTORY"] = daemon.state
    return daemon


@pytest.mark.usefixtures("daemon")
def test_ctrl_c_says_that_the_run_goes_on_and_how_to_cancel_it(cli: CommandLine, person: Person) -> None:
    """The message names the run; a run and one that waits are cancelled by number and by name."""
    with silent_server() as port:
        cli.ok("folders", "add", "Staff", "--query", f"127.0.0.1:{port}", "--base", "dc=x", "--schedule", "manual")
        process = cli.start("sync", "Staff", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run = wait_until(lambda: cli.json("status")["daemon"]["running"], "the run to begin")[0]["run_id"]
        process.send_signal(signal.SIGINT)
        shown, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, shown) == (130, "")
        assert errors == (
            f"Interrupted. The daemon goes on with run {run} of Staff. To cancel it: contactsync cancel {run}\n"
        )
        cli.ok("sync", "Staff", "--no-wait")
        assert "Cancelled the run of Staff before its start." in cli.ok("cancel", "Staff")
    wait_until(lambda: outcomes(person, 1) == ["cancelled"], "the end of the run")
    assert_refused(cli("cancel", "Staff"), 64, "Staff is not running")
    assert_refused(cli("cancel", str(run)), 64, f"Run {run} is not running here.")
    audit = [(deed["action"], deed["run_id"]) for deed in cli.json("audit")]
    assert audit[:2] == [("run.cancelled", run), ("run.cancelled", None)]


@pytest.mark.usefixtures("daemon")
def test_the_status_shows_further_attempts(cli: CommandLine, closed_port: int) -> None:
    """It shows the number of the attempt, the limit, and why the one before failed."""
    cli.ok("folders", "add", "Staff", "--query", f"ldap://127.0.0.1:{closed_port}/dc=x", "--schedule", "manual")
    cli.ok("sync", "Staff", "--no-wait")

    def attempt() -> object:
        return [run["further_attempt"] for run in cli.json("status")["daemon"]["running"] if run["further_attempt"]]

    error = f"ldap://127.0.0.1:{closed_port} refused the connection"
    assert wait_until(attempt, "a failed attempt") == [{"number": 2, "most": 4, "error": f"{error}."}]
    assert f"attempt 2 of 4: {error})" in cli.ok("status")
    shown = json.loads(cli.ok("cancel", "Staff", "--json"))
    assert (len(shown["cancelled"]), shown["withdrawn"]) == (1, [])


def completed(cli: CommandLine, *words: str, **environ: str) -> list[str]:
    """What bash offers for the last word."""
    request = {"_CONTACTSYNC_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["contactsync", *words])}
    done = cli(**request, COMP_CWORD=str(len(words)), **environ)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.usefixtures("daemon")
def test_a_shell_completes_names_and_is_silent_without_a_daemon(cli: CommandLine) -> None:
    """Names come from the daemon, with a backslash before a space."""
    for name in ("Staff", "Stock room", "Guests"):
        cli.ok("folders", "add", name, "--query", "ldap://127.0.0.1:1", "--schedule", "manual")
    assert completed(cli, "sync", "St") == ["Staff", r"Stock\ room"]
    assert completed(cli, "folders", "show", "G") == ["Guests"]
    assert completed(cli, "sync", "St", CONTACTSYNC_CONTROL__SOCKET="/nowhere/control.sock") == []


@pytest.mark.usefixtures("daemon")
def test_a_check_for_monitoring_has_one_line_and_an_exit_code(cli: CommandLine, person: Person) -> None:
    """It is ok until a definition needs a user, whose label it names, and critical without a daemon."""
    cli.ok("folders", "add", "Staff", "--query", "ldap://127.0.0.1:1", "--schedule", "manual")
    assert cli.ok("status", "--check").startswith("CONTACTSYNC OK: 1 definition, 0 contacts | definitions=1;;;0 ")
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'whenever'")
    done = wait_until(lambda: (now := cli("status", "--check")).returncode and now, "the edit to be noticed")
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert done.stdout.startswith("CONTACTSYNC WARNING: 1 invalid (Staff) | ")
    assert " invalid=1;0;;0 " in done.stdout
    assert json.loads(cli("status", "--check", "--json").stdout)["health"] == "WARNING"
    assert cli("status", "--check", CONTACTSYNC_CONTROL__SOCKET="relative").returncode == 3
    done = cli("status", "--check", CONTACTSYNC_CONTROL__SOCKET="/nowhere/control.sock")
    assert (done.returncode, done.stdout) == (
        2, "CONTACTSYNC CRITICAL: no daemon listens at /nowhere/control.sock\n",
    )  # fmt: skip


@pytest.mark.usefixtures("daemon")
def test_probes_for_containers_ask_about_the_daemon_only(cli: CommandLine, person: Person) -> None:
    """A definition that needs a user is no reason to restart it."""
    cli.ok("folders", "add", "Staff", "--query", "ldap://127.0.0.1:1", "--schedule", "manual")
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'whenever'")
    for probe in ("--live", "--ready"):
        assert cli.ok("status", probe) == ""
        silent = cli("status", probe, CONTACTSYNC_CONTROL__SOCKET="/nowhere/control.sock")
        assert_refused(silent, 1, "No daemon listens at /nowhere/control.sock")


def test_without_a_daemon_there_is_nothing_to_cancel(cli: CommandLine) -> None:
    """The message says how a run without a daemon is cancelled."""
    assert_refused(cli("cancel", "12"), 1, "No daemon is running", "Ctrl-C")
