"""Each directory and user is listened to by one node, and by another one when that node ends, stops or drains."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.fleet import Fleet, FleetNode
from tests.support.waiting import wait_until

CONTACTS = """
    SELECT f.name, count(*) FROM contactsync.contacts JOIN contactsync.folders AS f USING (folder_id)
    WHERE f.name LIKE 'Followed %%' GROUP BY f.name
"""
LISTENERS = """
    SELECT split_part(l.listener, ' ', 2), n.name FROM contactsync.fleet_listeners AS l
    JOIN contactsync.fleet_nodes AS n USING (node_id)
"""
LISTENING = "SELECT coalesce(sum(listening), 0) FROM contactsync.fleet_nodes WHERE ended_at IS NULL"


@pytest.fixture(scope="module")
def users(fleet: Fleet) -> list[str]:
    """Follow the directory with three users, of which each node has one."""
    directory = fleet.directory
    users = [directory.admin_dn, directory.reader_dn, directory.limited_dn]
    for number, (user, password) in enumerate(zip(users, ("env:ADMIN", "env:READER", "env:LIMITED"), strict=True)):
        fleet.define(f"Followed {number}", mode="live", bind_user=user, password_ref=password)
    wait_until(lambda: is_spread(fleet), lambda: f"a listener for each node: {listeners(fleet)}")
    return users


@pytest.fixture
def change(fleet: Fleet, users: list[str]) -> Iterator[Callable[[int], None]]:
    """Add or delete a person, and wait until each folder has so many."""
    admin = fleet.directory.connection()
    added = f"uid=followed,{fleet.directory.people_base}"

    def change(number: int) -> None:
        if number > 40:
            admin.add(
                added, ["inetOrgPerson"], {"cn": "F", "sn": "Followed", "uid": "followed", "mail": "f@example.com"}
            )
        else:
            admin.delete(added)
        expected = {f"Followed {user}": number for user in range(len(users))}
        wait_until(lambda: dict(fleet.rows(CONTACTS)) == expected, lambda: f"{number} people: {fleet.rows(CONTACTS)}")

    wait_until(lambda: dict(fleet.rows(CONTACTS)) == {f"Followed {user}": 40 for user in range(3)}, "the first load")
    yield change
    admin.unbind()


def listeners(fleet: Fleet) -> dict[str, str]:
    """The node that listens, by the user."""
    return dict(fleet.rows(LISTENERS))


def is_spread(fleet: Fleet) -> bool:
    """Whether each node listens for one folder."""
    listening = fleet.rows("SELECT name, listening FROM contactsync.fleet_nodes WHERE ended_at IS NULL")
    return {node.name: 1 for node in fleet.nodes} == dict(listening)


def test_listeners_of_a_killed_node_go_to_others(fleet: Fleet, users: list[str], change: Any) -> None:
    """A change while nobody listens arrives, and the node gets a listener back when it returns."""
    killed = fleet.named(listeners(fleet)[users[1]])
    killed.kill()
    change(41)
    wait_until(lambda: listeners(fleet).get(users[1]) not in {None, killed.name}, "another node to listen")
    wait_until(lambda: fleet.value(LISTENING) == 3, "three folders")
    change(40)
    killed.start()
    wait_until(lambda: is_spread(fleet), lambda: f"a listener for each node: {listeners(fleet)}")


def test_a_stopped_node_does_not_listen_when_it_wakes_up(fleet: Fleet, users: list[str], change: Any) -> None:
    """Another one has taken over by then; the one that was stopped lets go of its connections before it joins again."""
    stopped = fleet.named(listeners(fleet)[users[0]])
    events = len(stopped.events("fleet.listening"))
    stopped.send(signal.SIGSTOP)
    change(41)
    wait_until(lambda: listeners(fleet).get(users[0]) not in {None, stopped.name}, "another node to listen")
    stopped.send(signal.SIGCONT)
    wait_until(lambda: is_spread(fleet), lambda: f"a listener for each node: {listeners(fleet)}")
    change(40)
    after = [event["listeners"] for event in stopped.events("fleet.listening")[events:]]
    assert after[0] == []
    assert len(after[-1]) == 1


def test_listeners_of_a_drained_and_of_an_ended_node_move(fleet: Fleet, users: list[str], change: Any) -> None:
    """Nothing is to be noticed first: the node hands them over."""
    drained = fleet.named(listeners(fleet)[users[2]])
    other = next(node for node in fleet.nodes if node is not drained)
    other.post("/v1/fleet/drain", node=drained.name)
    wait_until(lambda: drained.name not in listeners(fleet).values() and fleet.value(LISTENING) == 3, "a move")
    change(41)
    other.post("/v1/fleet/resume", node=drained.name)
    wait_until(lambda: is_spread(fleet), lambda: f"a listener for each node: {listeners(fleet)}")
    ended: FleetNode = fleet.named(listeners(fleet)[users[2]])
    assert ended.stop() == 0
    wait_until(lambda: fleet.value(LISTENING) == 3, "three folders")
    change(40)
    ended.start()
    wait_until(lambda: is_spread(fleet), lambda: f"a listener for each node: {listeners(fleet)}")
    assert not [node for node in fleet.nodes if node.events("fleet.crashed")]
