"""A node that cannot open a password, or lacks a file, leaves the definition to others."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.processes import CONTACTSYNC
from tests.support.waiting import wait_until

EVENT = "fleet.left_to_others"
LISTENS = """
    SELECT n.name FROM contactsync.fleet_live AS l JOIN contactsync.fleet_nodes AS n USING (node_id)
    WHERE l.definition_id = %s AND l.listening_since IS NOT NULL AND n.ended_at IS NULL
"""


@pytest.fixture
def fleet(fleet: Fleet) -> Iterator[Fleet]:
    """Remove the definitions of a test, which later tests would count."""
    yield fleet
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE password_ref ~ 'ONLY|elsewhere'")


def events(fleet: Fleet, definition: int) -> Counter[str]:
    """How often each node has logged that it leaves a definition to others."""
    return Counter({node.name: len(node.events(EVENT, definition=definition)) for node in fleet.nodes})


def states(fleet: Fleet) -> list[tuple[str, bool]]:
    """The living nodes, and whether they are draining."""
    return [
        tuple(row) for row in fleet.rows("SELECT name, draining FROM contactsync.fleet_nodes WHERE ended_at IS NULL")
    ]


def test_the_node_that_has_the_password_makes_the_runs(fleet: Fleet) -> None:
    """Whichever takes the job. Each other one tries once, and says so in its log and in the list of the fleet."""
    definition = fleet.define("Only", password_ref="env:ONLY_2", schedule="every 1s")
    runs = "SELECT outcome, node FROM contactsync.sync_runs WHERE definition_id = %s AND finished_at IS NOT NULL"
    wait_until(lambda: len(fleet.rows(runs, definition)) >= 5, "five runs")
    assert {tuple(row) for row in fleet.rows(runs, definition)} <= {("changed", "node-2"), ("unchanged", "node-2")}
    assert fleet.value("SELECT state FROM contactsync.sync_status WHERE definition_id = %s", definition) == "valid"
    seen = events(fleet, definition)
    assert (seen["node-2"], max(seen.values())) == (0, 1)
    assert sum(seen.values()) >= 1
    shown = fleet[1].get("/v1/fleet")["left_to_others"]
    assert {row["node"] for row in shown if row["definition_id"] == definition} == set(seen) - {"node-2"} & set(+seen)
    assert all("environment variable ONLY_2 is not set" in row["reason"] for row in shown)
    fleet.person.execute(
        "UPDATE contactsync.sync_definitions SET schedule = 'manual' WHERE definition_id = %s", [definition]
    )
    assert fleet[0].run(definition)["node"] == "node-2"


def test_if_no_node_has_it_the_error_names_them(fleet: Fleet, tmp_path: Path) -> None:
    """The run fails as it does without a fleet. Later runs are no new attempts of all nodes."""
    secret = tmp_path / "elsewhere"
    definition = fleet.define("Nowhere", password_ref=f"file:{secret}")
    failed = fleet[0].run(definition)
    assert (failed["outcome"], failed["error_code"]) == ("failed", "secret")
    assert "cannot be read: No such file or directory" in failed["error"]
    assert failed["error"].endswith("No living node of the fleet can make this run: node-1, node-2, node-3.")
    assert events(fleet, definition) == Counter(["node-1", "node-2", "node-3"])
    shown = subprocess.run([CONTACTSYNC, "fleet"], env=fleet[1].environ, capture_output=True, text=True, check=True)
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith("Nowhere")]
    assert [row[1] for row in rows] == ["node-1", "node-2", "node-3"]
    fleet[1].post("/v1/sync", 202)  # not for this folder alone: no node tries again
    finished = "SELECT count(*) FROM contactsync.sync_runs WHERE definition_id = %s AND outcome = 'failed'"
    wait_until(lambda: fleet.value(finished, definition) == 2, "a second run")
    assert sum(events(fleet, definition).values()) == 3
    secret.write_text(fleet.directory.reader_password, encoding="utf-8")
    secret.chmod(0o600)
    assert fleet[2].run(definition)["outcome"] == "changed"


def test_a_file_that_is_not_there_is_one_too(fleet: Fleet, tmp_path: Path) -> None:
    """The authority of the directory's certificate."""
    definition = fleet.define("Authority", tls="starttls", tls_ca_file=str(tmp_path / "elsewhere.pem"))
    failed = fleet[0].run(definition)
    assert failed["error_code"] == "definition"
    assert failed["error"].endswith("No living node of the fleet can make this run: node-1, node-2, node-3.")
    assert events(fleet, definition) == Counter(["node-1", "node-2", "node-3"])
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])


def test_a_job_for_a_node_that_drains_goes_back(fleet: Fleet) -> None:
    """The others fail, and the definition is not forgotten: the node makes the run when it is resumed."""
    definition = fleet.define("Only third", password_ref="env:ONLY_3")
    assert fleet[0].run(definition)["node"] == "node-3"
    fleet[0].post("/v1/fleet/drain", node="node-3")
    worker = "SELECT worker_id FROM contactsync.fleet_nodes WHERE name = 'node-3' AND ended_at IS NULL"
    wait_until(lambda: fleet.value(worker) is None, "the end of its worker")
    failed = fleet[0].run(definition)
    assert (failed["outcome"], failed["node"] == "node-3") == ("failed", False)
    assert failed["error"].endswith("No living node of the fleet can make this run: node-1, node-2.")
    fleet[0].post("/v1/fleet/resume", node="node-3")
    wait_until(lambda: ("node-3", False) in states(fleet), "the resumed node")
    assert fleet[0].run(definition)["node"] == "node-3"


def listens(fleet: Fleet, definition: int, *names: str) -> bool:
    """Whether one of these nodes listens for the folder, and no other one."""
    rows = fleet.rows(LISTENS, definition)
    return len(rows) == 1 and rows[0][0] in names


def test_the_node_that_has_the_password_listens(fleet: Fleet) -> None:
    """However many listeners it has. A change arrives, and each other node says once what it lacks."""
    definition = fleet.define("Only live", mode="live", password_ref="env:ONLY_2")
    wait_until(lambda: listens(fleet, definition, "node-2"), lambda: f"node-2: {fleet.rows(LISTENS, definition)}")
    contacts = "SELECT count(*) FROM contactsync.contacts WHERE definition_id = %s"
    wait_until(lambda: fleet.value(contacts, definition) == 40, "the first load")
    admin = fleet.directory.connection()
    added = f"uid=only,{fleet.directory.people_base}"
    admin.add(added, "inetOrgPerson", {"cn": "Only", "sn": "Only", "uid": "only", "mail": "only@example.com"})
    wait_until(lambda: fleet.value(contacts, definition) == 41, "the change")
    admin.delete(added)
    admin.unbind()
    wait_until(lambda: fleet.value(contacts, definition) == 40, "the other change")
    wait_until(lambda: events(fleet, definition) == Counter(["node-1", "node-3"]), "what the others say")
    assert fleet.value("SELECT state FROM contactsync.sync_status WHERE definition_id = %s", definition) == "valid"


def test_listening_moves_to_a_node_with_the_password(fleet: Fleet) -> None:
    """When that node returns. Meanwhile one of the others has the listener, says what it lacks and records it."""
    fleet[0].post("/v1/fleet/drain", node="node-3")
    wait_until(lambda: ("node-3", True) in states(fleet), "the drained node")
    definition = fleet.define("Only there", mode="live", password_ref="env:ONLY_3")
    reasons = "SELECT reason FROM contactsync.fleet_live WHERE definition_id = %s"
    failed = "SELECT error_code FROM contactsync.sync_runs WHERE definition_id = %s AND finished_at IS NOT NULL"
    wait_until(lambda: fleet.rows(failed, definition), "the error")
    assert set(fleet.rows(failed, definition)) == {("secret",)}
    said = "environment variable ONLY_3 is not set."
    wait_until(lambda: said in str(fleet.rows(reasons, definition)), lambda: f"{fleet.rows(reasons, definition)}")
    fleet[0].post("/v1/fleet/resume", node="node-3")
    wait_until(lambda: listens(fleet, definition, "node-3"), lambda: f"node-3: {fleet.rows(LISTENS, definition)}")


def test_listening_moves_from_a_node_that_has_lost_the_password(fleet: Fleet) -> None:
    """It reads the password with its next connection to the directory, and says that it is gone."""
    credentials = {}
    for node in fleet.nodes[:2]:
        place = Path(node.environ["CREDENTIALS_DIRECTORY"])
        place.mkdir()
        credentials[node.name] = place / "elsewhere"
        credentials[node.name].write_text(fleet.directory.reader_password, encoding="utf-8")
    definition = fleet.define("Lost", mode="live", password_ref="credential:elsewhere")
    wait_until(lambda: listens(fleet, definition, *credentials), lambda: f"a node: {fleet.rows(LISTENS, definition)}")
    ((name,),) = fleet.rows(LISTENS, definition)
    credentials.pop(name).unlink()
    fleet.directory.kill()
    fleet.directory.start()
    (other,) = credentials
    wait_until(lambda: listens(fleet, definition, other), lambda: f"{other}: {fleet.rows(LISTENS, definition)}")
    assert (events(fleet, definition)[name], events(fleet, definition)[other]) == (1, 0)
