"""A member of the control socket's group, without rights on the state directory, the database and the key."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE
from tests.support.processes import CommandLine, DaemonProcess, assert_refused

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run commands as another user")

USER, GROUP = "nobody", "games"
AS_USER = ("setpriv", f"--reuid={USER}", "--regid=nogroup")


@pytest.fixture
def member(
    database: str, make_daemon: Callable[..., DaemonProcess], short_path: Path, directory: PrivateSlapd
) -> Iterator[CommandLine]:
    """Give the commands of a member of the group, beside a running daemon."""
    short_path.chmod(0o755)
    control = {"CONTACTSYNC_CONTROL__SOCKET": str(short_path / "control.sock")}
    daemon = make_daemon(database, READER=directory.reader_password, CONTACTSYNC_CONTROL__GROUP=GROUP, **control)
    daemon.start()
    Path(daemon.state).chmod(0o700)
    with ExitStack() as stack:
        commands = CommandLine(database, short_path)
        stack.callback(commands.end)
        del commands.environ["CONTACTSYNC_DATABASE__URL"]
        commands.environ |= {"CONTACTSYNC_STATE__DIRECTORY": daemon.state, **control}
        commands.prefix = [*AS_USER, f"--groups={GROUP}"]
        yield commands


def test_a_member_of_the_group_edits_runs_and_decides(member: CommandLine, directory: PrivateSlapd) -> None:
    """Each command goes through the daemon, and the audit has the member's name."""
    query = ("--query", f"{directory.url}/{directory.suffix}", "--tls", "none", "--user", directory.reader_dn)
    password = f"{directory.reader_password}\n"
    added = member.ok("folders", "add", "Staff", *query, "--password-stdin", "--schedule", "manual", typed=password)
    assert "Added Staff (schedule: manual)." in added
    assert "No daemon" not in added
    assert f"{PEOPLE} added" in member.ok("sync", "Staff")
    assert "nothing would change" in member.ok("preview", "Staff")
    assert "Staff works" in member("check", "Staff").stdout
    assert "ou=people" in member.ok("browse", "Staff")
    assert "The password has to be given again" in member("check", "Staff", "--query", "ldap://127.0.0.1:1").stderr
    assert "ou=people" in member.ok("browse", *query, "--password-stdin", typed=password)
    edit = ("folders", "edit", "Staff")
    assert_refused(member(*edit, "--filter", "(sn=", "--page-size", "7"), 64, "The filter")
    assert "Changed Staff." in member(*edit, "--filter", "(sn=nobody at all)").stdout
    held = json.loads(member("sync", "Staff", "--json").stdout)["runs"][0]
    assert held["outcome"] == "held"
    assert "An approval allows it to delete these contacts" in member("approve", str(held["run_id"])).stdout
    assert "Rejected run" in member.ok("reject", str(held["run_id"]))
    assert "Changed Staff." in member(*edit, "--clear", "filter", "--jitter", "5").stdout
    assert "sealed anew" in member.ok(*edit, "--password-stdin", typed=password)
    member.ok("sync", "Staff")
    assert "run 1" in member.ok("undo", "1", "--yes")
    assert "anna" in member.ok("folders", "rights", "grant", "Staff", "anna", "--may", "view")
    assert "Everyone who signs in" in member.ok("folders", "rights", "revoke", "Staff", "anna")
    assert "Resumed Staff." in member.ok("folders", "resume", "Staff")
    assert "Paused Staff." in member.ok("folders", "pause", "Staff")
    assert "Removed Staff" in member.ok("folders", "remove", "Staff", "--yes")
    deeds = member.json("audit")
    assert {(deed["actor"], deed["actor_kind"], deed["via"]) for deed in deeds} == {(USER, "unix", "cli")}
    assert {deed["action"] for deed in deeds} >= {
        "definition.added", "definition.edited", "definition.paused", "definition.resumed", "definition.removed",
        "password.set", "rights.set", "run.rejected", "run.undone", "sync.requested",
    }  # fmt: skip


def test_an_approval_of_a_member_makes_the_daemon_run(member: CommandLine, directory: PrivateSlapd) -> None:
    """The command says where the result will be."""
    reference = ("--user", directory.reader_dn, "--password-ref", "env:READER")
    member.ok(
        "folders", "add", "Staff", "--query", f"{directory.url}/{directory.suffix}", "--tls", "none", *reference,
        "--schedule", "manual",
    )  # fmt: skip
    member.ok("sync", "Staff")
    member("folders", "edit", "Staff", "--filter", "(sn=nobody at all)", "--allow-empty")
    run = json.loads(member("sync", "Staff", "--json").stdout)["runs"][0]["run_id"]
    assert "The daemon runs Staff now." in member.ok("approve", str(run), "--yes")


def test_another_user_is_told_which_group_to_join(member: CommandLine) -> None:
    """The exit code is 77, whatever the command."""
    member.prefix = [*AS_USER, "--clear-groups"]
    commands = ["sync Staff", "approve 1 --yes", "undo 1 --yes", "preview Staff", "check Staff", "folders pause Staff"]
    for command in commands:
        assert_refused(member(*command.split()), 77, "control socket", f"Join the group {GROUP}")
