"""Three daemons share one set of definitions: who runs what, and what each of them knows."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import Any

import ldap3
import pytest

from tests.support.definitions import RARE
from tests.support.fleet import Fleet
from tests.support.peers import silent_server
from tests.support.processes import CONTACTSYNC
from tests.support.proxy import Proxy
from tests.support.search_meter import SearchMeter
from tests.support.waiting import wait_until

NAMES = {"node-1", "node-2", "node-3"}


def runs_of(fleet: Fleet, definition: int) -> list[tuple[Any, ...]]:
    """Trigger and outcome of the runs of a definition, oldest first."""
    statement = "SELECT trigger, outcome FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id"
    return fleet.rows(statement, definition)


def test_any_node_starts_a_run_and_awaits_it(fleet: Fleet) -> None:
    """Whichever node makes the run, the one that was asked answers with its result."""
    definition = fleet.define("Any")
    runs = [node.run(definition) for node in fleet.nodes]
    assert [run["outcome"] for run in runs] == ["changed", "unchanged", "unchanged"]
    assert {run["node"] for run in runs} <= NAMES
    assert runs[0]["inserted"] == 40


def test_three_nodes_make_one_run_of_an_edit_and_of_a_request(fleet: Fleet) -> None:
    """Each sees the definition, its edit and the request by SQL; one of them acts."""
    definition = fleet.define("Once", schedule=RARE, mode="incremental")
    wait_until(lambda: runs_of(fleet, definition) == [("catch-up", "changed")], "the first run")
    edit = "UPDATE contactsync.sync_definitions SET filter = '(uid=*)' WHERE definition_id = %s"
    fleet.person.execute(edit, [definition])
    wait_until(lambda: len(runs_of(fleet, definition)) == 2, "the run of the edit")
    ticket = fleet.value("SELECT contactsync.request_sync('Once')")
    state = "SELECT state FROM contactsync.sync_requests WHERE request_id = %s"
    wait_until(lambda: fleet.rows(state, ticket) == [("done",)], lambda: f"the ticket: {fleet.rows(state, ticket)}")
    assert [trigger for trigger, _ in runs_of(fleet, definition)] == ["catch-up", "edit", "request"]


def test_a_schedule_fires_once(fleet: Fleet) -> None:
    """Not once for each node."""
    definition = fleet.define("Often", schedule="every 1s")
    wait_until(lambda: len(runs_of(fleet, definition)) >= 4, "four runs")
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])
    statement = """
        SELECT count(*), count(DISTINCT date_trunc('second', started_at)) FROM contactsync.sync_runs
        WHERE definition_id = %s AND trigger = 'schedule'
    """
    ((number, seconds),) = fleet.rows(statement, definition)
    assert number - seconds <= 1


def test_a_live_folder_has_one_listener_and_one_run_of_a_change(fleet: Fleet) -> None:
    """The node that listens may be another one than those that make the runs."""
    definition = fleet.define("Live", mode="live")
    count = """
        SELECT count(*) FROM contactsync.contacts JOIN contactsync.folders AS f USING (folder_id) WHERE f.name = 'Live'
    """
    wait_until(lambda: fleet.value(count) == 40, "the first load")
    listening = "SELECT count(*) FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND listening > 0"
    wait_until(lambda: fleet.value(listening) == 1, "one listener")
    before = len(runs_of(fleet, definition))
    admin, added = fleet.directory.connection(), f"uid=fleet,{fleet.directory.people_base}"
    admin.add(added, ["inetOrgPerson"], {"cn": "Flora Fleet", "sn": "Fleet", "uid": "fleet", "mail": "f@example.com"})
    wait_until(lambda: fleet.value(count) == 41, "the new person")
    admin.delete(added)
    wait_until(lambda: fleet.value(count) == 40, "the person to leave")
    admin.unbind()
    assert [run for run in runs_of(fleet, definition)[before:] if run[1] == "changed"] == [("live", "changed")] * 2
    wait_until(lambda: fleet.value(listening) == 1, "one listener after the runs")


def test_every_node_shows_and_cancels_a_run(fleet: Fleet) -> None:
    """With the name of the node that makes it."""
    with silent_server() as port:
        definition = fleet.define("Slow", query=f"127.0.0.1:{port}", base="dc=x")
        fleet[0].post(f"/v1/definitions/{definition}/sync", 202)
        run_id, maker = fleet.running(definition)
        for node in fleet.nodes:
            shown = [run for run in node.get("/v1/status")["running"] if run["run_id"] == run_id]
            assert [run["node"] for run in shown] == [maker]
        other = next(node for node in fleet.nodes if node.name != maker)
        assert other.post(f"/v1/runs/{run_id}/cancel")["cancelled"] == [run_id]
        wait_until(
            lambda: runs_of(fleet, definition) == [("manual", "cancelled")], lambda: str(runs_of(fleet, definition))
        )


def test_a_drained_node_gives_up_its_work(fleet: Fleet) -> None:
    """Another node leads, and takes every run, until the node is resumed."""
    leader = fleet.wait_for_leader()
    other = next(node for node in fleet.nodes if node is not leader)
    other.post("/v1/fleet/drain", node=leader.name)
    fleet.wait_for_leader(leader)
    states = {node["name"]: node["state"] for node in leader.get("/v1/fleet")["nodes"] if not node["ended_at"]}
    assert states == dict.fromkeys(NAMES, "alive") | {leader.name: "draining"}
    definition = fleet.define("Drained")
    assert leader.name not in {leader.run(definition)["node"] for _ in range(6)}
    other.post("/v1/fleet/resume", node=leader.name)
    wait_until(lambda: leader.run(definition)["node"] == leader.name, "its next run")
    assert "no living node" in other.http.post("/v1/fleet/drain", params={"node": "nobody"}).json()["detail"]


def test_the_command_line_shows_the_fleet(fleet: Fleet) -> None:
    """The same with a daemon and without."""
    texts = []
    for environ in (fleet[1].environ, fleet[1].environ | {"CONTACTSYNC_CONTROL__SOCKET": "/nonexistent/control.sock"}):
        done = subprocess.run([CONTACTSYNC, "fleet"], env=environ, capture_output=True, text=True, check=True)
        texts.append(done.stdout)
    for text in texts:
        lines = text.splitlines()
        assert lines[0].split()[:3] == ["Node", "Version", "State"]
        assert {line.split()[0] for line in lines[1:4]} == NAMES
        assert sum(" schedule " in line for line in lines) == 1
        assert lines[-1] == "0 definitions waiting."


def test_a_name_is_taken_once(fleet: Fleet) -> None:
    """A second daemon of the same name does not start, and disturbs nobody."""
    environ = fleet[0].environ | {"CONTACTSYNC_CONTROL__SOCKET": f"{fleet[0].state}/second.sock"}
    done = subprocess.run([CONTACTSYNC, "daemon"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 78, done.stderr
    assert "Another daemon in the fleet has the name node-1" in done.stderr
    assert fleet[0].run(fleet.define("Undisturbed"))["outcome"] == "changed"


def test_all_nodes_have_one_key(fleet: Fleet, tmp_path: Any) -> None:
    """A node could not open the passwords that another one has sealed."""
    environ = fleet[0].environ | {
        "CONTACTSYNC_CONTROL__SOCKET": f"{fleet[0].state}/other.sock",
        "CONTACTSYNC_FLEET__NAME": "other",
        "CONTACTSYNC_SECRETS__KEY_FILE": str(tmp_path / "other.key"),
    }
    done = subprocess.run([CONTACTSYNC, "daemon"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 78, done.stderr
    assert "The key for passwords is not that of the other nodes (node-" in done.stderr
    assert "contactsync secrets key export" in done.stderr
    assert fleet.value("SELECT count(DISTINCT key_id) FROM contactsync.public_key") == 1


def test_no_node_offers_a_password_that_another_one_was_refused(fleet: Fleet, make_slapd: Any) -> None:
    """The directory would lock the account at the second attempt. All folders of the account are due at once."""
    directory = make_slapd(lock_after=9)
    with closing(Proxy(directory.port)) as proxy:
        meter = SearchMeter(proxy, pace=0.3)
        columns = {"query": f"ldap://127.0.0.1:{proxy.port}/{directory.suffix}", "password_ref": "env:WRONG"}
        with fleet.person.transaction():
            refused = [fleet.define(f"Refused {number}", schedule=RARE, **columns) for number in range(8)]
        errors = "SELECT error FROM contactsync.sync_runs WHERE definition_id = ANY (%s) AND outcome = 'failed'"
        wait_until(lambda: len(fleet.rows(errors, refused)) == 8, "the runs of all")
        shown = fleet.rows(errors, refused)
        assert sum("with the same password before" in error for (error,) in shown) == 7, shown
        assert fleet[0].run(refused[0])["outcome"] == "failed"  # a user's own request offers it once more
        fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = ANY (%s)", [refused])
    admin = directory.connection()
    admin.search(directory.reader_dn, "(objectClass=*)", ldap3.BASE, attributes=["pwdFailureTime"])
    assert len(admin.entries[0].entry_attributes_as_dict["pwdFailureTime"]) == meter.refused == 2
    admin.unbind()


def test_a_fleet_needs_a_database_of_its_own(tmp_path: Any) -> None:
    """Other machines cannot use the embedded one."""
    environ = {
        "PATH": os.environ["PATH"],
        "CONTACTSYNC_STATE__DIRECTORY": str(tmp_path / "state"),
        "CONTACTSYNC_SETTINGS": os.devnull,
        "CONTACTSYNC_FLEET__ENABLED": "true",
    }
    done = subprocess.run([CONTACTSYNC, "daemon"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 78, done.stderr
    assert "cannot use the embedded database" in done.stderr


@pytest.mark.parametrize("module", ["contactsync.service.main", "contactsync.fleet.queue", "contactsync.cli.app"])
def test_only_a_fleet_imports_the_queue(module: str) -> None:
    """Procrastinate is an extra, which one daemon does not need."""
    code = f"import sys, {module}; sys.exit('procrastinate' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
