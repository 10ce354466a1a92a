"""A Hypothesis state machine over three nodes of a fleet, their directory, and what users do through any of them.

After every step no runs have overlapped. In the end of each example all nodes are there again, and nothing is lost.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import httpx
import ldap3
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from ldap3.core.exceptions import LDAPException

from bench.directory import TEAM_SIZE, attributes
from tests.support.fleet import Fleet, FleetNode
from tests.support.fleet_servers import FleetServers, MeteredDirectory, fleet_servers
from tests.support.fleet_storm import come_to_rest, define_teams, differences, late_commits, most_at_once, overlaps
from tests.support.waiting import wait_until

NODES, TEAMS = 3, 4
PER_SERVER = 2
PACE = 0.02
"""The least time of a search, so that searches overlap that may."""
_BEGIN = """
UPDATE contactsync.sync_definitions
SET schedule = 'every 1s', max_delete_count = CASE WHEN definition_id % 2 = 0 THEN 0 END
"""
_ALLOW = "UPDATE contactsync.sync_definitions SET max_delete_count = 1000, max_delete_share = 1, allow_empty = true"
_EDITS: dict[str, list[Any]] = {
    "mapping": ['{"fields": {"nickname": "uid"}}', None],
    "mode": ["full", "live", "auto"],
    "page_size": [5, None],
}
_HELD = "SELECT run_id FROM contactsync.held_plans WHERE decision IS NULL"
_LOST = """
SELECT q.request_id, q.state, q.reason
FROM contactsync.sync_requests AS q LEFT JOIN contactsync.sync_runs AS r USING (run_id)
WHERE q.finished_at IS NULL OR r.finished_at < q.requested_at
   OR q.state = 'withdrawn' AND q.reason NOT LIKE 'Cancelled%%'
"""
_ALIVE = "SELECT name FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND NOT draining"

nodes = st.integers(0, NODES - 1)
teams = st.integers(0, TEAMS - 1)
people = st.integers(0, TEAMS * TEAM_SIZE - 1)


class ThreeNodes(RuleBasedStateMachine):
    """Nodes that are killed, stopped, ended, drained, cut off and forgotten, in any order."""

    servers: ClassVar[FleetServers]
    fleet: ClassVar[Fleet]
    admin: ClassVar[ldap3.Connection]
    definitions: ClassVar[list[int]]

    def __init__(self) -> None:
        super().__init__()
        self.down: set[int] = set()
        self.stopped: set[int] = set()
        self.cut: set[int] = set()
        self.fleet.person.execute(_BEGIN)

    @property
    def directory(self) -> MeteredDirectory:
        """The directory of all folders."""
        return self.servers.directories[0]

    def able(self, number: int) -> bool:
        """Whether a node can answer."""
        return number not in self.down | self.stopped | self.cut

    def others(self, number: int) -> bool:
        """Whether another node can answer."""
        return any(self.able(each) for each in range(NODES) if each != number)

    def ask(self, number: int, path: str, **query: Any) -> None:
        """A request through a node, or through the next one that can answer; a node may be about to join again."""
        number = next(each % NODES for each in range(number, number + NODES) if self.able(each % NODES))
        with suppress(httpx.HTTPError):
            response = self.fleet[number].http.post(path, params=query)
            assert response.status_code in {200, 202, 404, 409, 503}, response.text

    @rule(number=nodes)
    def kill(self, number: int) -> None:
        """Without a warning, also a stopped one."""
        if number not in self.down and self.others(number):
            self.fleet[number].kill()
            self.down.add(number)
            self.stopped.discard(number)

    @rule(number=nodes)
    def stop(self, number: int) -> None:
        """As by a machine that stalls."""
        if self.able(number) and self.others(number):
            self.fleet[number].send(signal.SIGSTOP)
            self.stopped.add(number)

    @precondition(lambda self: self.stopped)
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        """After others may have ended it."""
        number = data.draw(st.sampled_from(sorted(self.stopped)))
        self.fleet[number].send(signal.SIGCONT)
        self.stopped.remove(number)

    @rule(number=nodes)
    def end(self, number: int) -> None:
        """In order."""
        if self.able(number) and self.others(number):
            node = self.fleet[number]
            code = node.stop()
            assert code == 0, f"{node.name} ended with {code}: {node.text()[-2000:]}"
            self.down.add(number)

    @precondition(lambda self: self.down)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """It joins again."""
        number = data.draw(st.sampled_from(sorted(self.down)))
        self.fleet[number].start()
        self.down.remove(number)

    @rule(number=nodes)
    def cut_off(self, number: int) -> None:
        """From PostgreSQL."""
        if self.able(number) and self.others(number):
            self.servers.links[number].pause()
            self.cut.add(number)

    @precondition(lambda self: self.cut)
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        """Again."""
        number = data.draw(st.sampled_from(sorted(self.cut)))
        self.servers.links[number].heal()
        self.cut.remove(number)

    @rule(number=nodes, deed=st.sampled_from(["drain", "resume", "forget"]), through=nodes)
    def administrate(self, number: int, deed: str, through: int) -> None:
        """Drain a node, resume it, or try to forget it, which is refused while it lives."""
        self.ask(through, f"/v1/fleet/{deed}", node=self.fleet[number].name)

    @rule(team=teams, deed=st.sampled_from(["sync", "sync", "cancel"]), through=nodes)
    def request(self, team: int, deed: str, through: int) -> None:
        """Trigger or cancel a run."""
        self.ask(through, f"/v1/definitions/{self.definitions[team]}/{deed}")

    @rule(through=nodes)
    def request_all(self, through: int) -> None:
        """Trigger runs of all folders."""
        self.ask(through, "/v1/sync")

    @rule(team=teams)
    def request_by_sql(self, team: int) -> None:
        """Whichever node leads."""
        self.fleet.rows("SELECT contactsync.request_sync(%s)", f"Team 0-{team}")

    @rule(through=nodes, decision=st.sampled_from(["approve", "approve", "reject"]))
    def decide(self, through: int, decision: str) -> None:
        """Decide about a run that is held, since it would delete people."""
        held = self.fleet.rows(_HELD)
        if held:
            self.ask(through, f"/v1/runs/{held[0][0]}/{decision}")

    @rule(team=teams, column=st.sampled_from(sorted(_EDITS)), data=st.data())
    def edit(self, team: int, column: str, data: st.DataObject) -> None:
        """Edit a definition: each node reads it."""
        value = data.draw(st.sampled_from(_EDITS[column]))
        self.fleet.person.execute(
            f"UPDATE contactsync.sync_definitions SET {column} = %s WHERE definition_id = %s".encode(),  # noqa: S608
            [value, self.definitions[team]],
        )

    @rule(number=people, title=st.sampled_from(["Boss", "Clerk", "Guest"]))
    def change(self, number: int, title: str) -> None:
        """Change a person, who may be gone."""
        with suppress(LDAPException):
            self.admin.modify(self.directory.person(number), {"title": [(ldap3.MODIFY_REPLACE, [title])]})

    @rule(number=people, comes=st.booleans())
    def move(self, number: int, *, comes: bool) -> None:
        """A person leaves, or comes back."""
        name = self.directory.person(number)
        with suppress(LDAPException):  # is there, or is not
            if comes:
                self.admin.add(name, "inetOrgPerson", attributes(number))
            else:
                self.admin.delete(name)

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.0]))
    def rest(self, seconds: float) -> None:
        """Let the nodes work."""
        time.sleep(seconds)

    @invariant()
    def no_runs_overlap(self) -> None:
        """Nor does a run that was interrupted change anything."""
        assert (overlaps(self.fleet), late_commits(self.fleet)) == (0, 0)

    def teardown(self) -> None:
        """Repair everything: nothing is lost, and no server had more runs than it may."""
        for number in list(self.cut):
            self.servers.links[number].heal()
        for number in list(self.stopped):
            self.fleet[number].send(signal.SIGCONT)
        for number in list(self.down):
            self.fleet[number].launch()
        for number in list(self.down):
            self.fleet[number].wait_for_start()
        self.fleet.person.execute(_ALLOW)
        wait_until(self._all_are_back, lambda: f"all nodes: {self.fleet.rows(_ALIVE)}", poll=0.1)
        come_to_rest(self.fleet)
        assert self.fleet.rows(_LOST) == []
        assert list(differences(self.fleet, self.servers)) == []
        self.no_runs_overlap()
        assert most_at_once(self.fleet) <= PER_SERVER
        assert self.directory.meter.most <= PER_SERVER
        for node in self.fleet.nodes:
            assert crashes(node) == []

    def _all_are_back(self) -> bool:
        alive = [name for (name,) in self.fleet.rows(_ALIVE)]
        if sorted(alive) == [node.name for node in self.fleet.nodes]:
            return all(node.is_ready() for node in self.fleet.nodes)
        self.down, self.stopped, self.cut = set(), set(), set()
        for node in self.fleet.nodes:
            self.ask(0, "/v1/fleet/resume", node=node.name)
        return False


def crashes(node: FleetNode) -> list[dict[str, Any]]:
    """The log lines of a node that no harm explains."""
    return [line for line in node.lines() if line["event"].endswith("crashed")]


@pytest.fixture
def machine() -> Iterator[type[ThreeNodes]]:
    """Run the servers, three nodes and a folder for each team."""
    limits = {"CONTACTSYNC_SCHEDULER__PER_SERVER": str(PER_SERVER), "CONTACTSYNC_SCHEDULER__DRAIN_SECONDS": "1"}
    with (
        fleet_servers(nodes=NODES, directories=1, teams=TEAMS, pace=PACE) as servers,
        servers.fleet(**limits) as fleet,
    ):
        ThreeNodes.servers, ThreeNodes.fleet = servers, fleet
        ThreeNodes.admin = servers.directories[0].slapd.connection()
        ThreeNodes.definitions = define_teams(fleet, servers)
        yield ThreeNodes
        ThreeNodes.admin.unbind()


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_whatever_happens_to_the_nodes_nothing_overlaps_or_is_lost(
    machine: type[ThreeNodes], times: int, seed: str
) -> None:
    """Whatever users, administrators and failures do, in any order."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=2 * times,  # the first one is always the simplest
            stateful_step_count=30,
            derandomize=seed == "1",
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
            print_blob=True,
        ),
    )
