"""Live folders of a real 389 Directory Server, whose persistent search reports changes; each run is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import ldap3
import pytest

from contactsync.model import Mode, Trigger
from tests.integration.dispatch.test_live import Following
from tests.support.definitions import RARE
from tests.support.folder import PEOPLE_FILTER, SyncedFolder, someone
from tests.support.ns_slapd import NsSlapd, running, why_not
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

WANTED = "(description=wanted)"
_numbers = count(7000)


@pytest.fixture(scope="module")
def server() -> Iterator[NsSlapd]:
    """Run a server that offers content synchronization as well."""
    with running(20, changelog=True) as server:
        yield server


@pytest.fixture
def following(make_folder: Callable[..., SyncedFolder], server: NsSlapd) -> Iterator[Callable[..., Following]]:
    """Follow folders with these filters, of the whole directory or of a base."""
    made: list[Following] = []

    def follow(*filters: str, base: str | None = None) -> Following:
        columns = {"mode": "live", "base": base, "max_delete_share": 1, "allow_empty": True}
        folders = [make_folder(server, filter=one, **columns) for one in filters]
        made.append(Following(folders[0].runner(), folders))
        made[-1].expect_listening()
        return made[-1]

    yield follow
    for one in made:
        one.stop()


def names(folder: SyncedFolder) -> set[str]:
    """The DN of each contact."""
    return {dn for dn, _, _ in folder.contacts()}


def found(folder: SyncedFolder) -> set[str]:
    """The DNs of the folder's people in the directory."""
    admin = folder.slapd.connection()
    admin.search(folder.slapd.suffix, folder.definition.filter or PEOPLE_FILTER, attributes=["1.1"])
    found = {entry["dn"] for entry in admin.response or ()}
    admin.unbind()
    return found


def expect_in_sync(live: Following) -> None:
    """Every folder gets in sync, and no change is pending."""
    for folder in live.folders:
        wait_until(lambda folder=folder: names(folder) == found(folder))  # type: ignore[misc]
    live.expect_listening()


def test_every_change_arrives(following: Callable[..., Following], server: NsSlapd, admin: ldap3.Connection) -> None:
    """Two folders use one connection; the persistent search does not report an entry that leaves a filter."""
    live = following(WANTED, PEOPLE_FILTER)
    wanted = live.folders[0]
    person = someone(description="wanted")
    admin.add(person.dn, attributes=person.attributes)
    expect_in_sync(live)
    assert names(wanted) == {person.dn}
    admin.modify(person.dn, {"description": [(ldap3.MODIFY_REPLACE, ["unwanted"])]})
    expect_in_sync(live)
    assert not names(wanted)
    admin.modify(person.dn, {"description": [(ldap3.MODIFY_REPLACE, ["wanted"])]})
    expect_in_sync(live)
    admin.modify_dn(person.dn, "uid=renamed")
    expect_in_sync(live)
    admin.modify_dn(f"uid=renamed,{person.dn.partition(',')[2]}", "uid=renamed", new_superior=server.people_base)
    expect_in_sync(live)
    assert names(wanted) == {f"uid=renamed,{server.people_base}"}
    admin.delete(f"uid=renamed,{server.people_base}")
    expect_in_sync(live)
    assert not names(wanted)
    assert {report.mode for report in live.reports} == {Mode.FULL}
    (reason,) = {report.full_reason for report in live.reports}
    assert reason == (
        "There is no other way: 389 Directory Server does not report which entries the filter no longer finds, nor "
        "here whether any changed: its plugin USN is not enabled, which counts the server's own writes."
    )


def test_mode_auto_runs_by_its_schedule(
    make_folder: Callable[..., SyncedFolder], server: NsSlapd, admin: ldap3.Connection
) -> None:
    """Each change would cost a full run: no connection stays open, also if it was another server before."""
    folder = make_folder(server, filter=PEOPLE_FILTER, schedule=RARE, allow_empty=True)
    folder.query(
        "INSERT INTO contactsync.sync_cursors (folder_id, definition_id, kind, value, server, context)"
        " VALUES (%s, %s, 'content-sync', 'x', 'x', 'x')",
        folder.folder_id,
        folder.definition_id,
    )
    live = Following(folder.runner(), [folder], auto=1)

    def reason() -> str:
        return live.live.states[folder.definition_id].reason or ""

    try:
        wait_until(lambda: "389 Directory Server does not report" in reason())
        live.dispatcher.request(folder.definition_id, Trigger.SCHEDULE, awaited=True).result()
        assert names(folder) == found(folder)
        wait_until(lambda: "389 Directory Server does not report" in reason())
        now = live.live.snapshot
        assert (now.listening, now.not_listening, now.auto_scheduled) == (0, 0, 1)
        before = names(folder)
        person = someone()
        admin.add(person.dn, attributes=person.attributes)
        folder.edit(mode="live")
        live.follow()
        live.expect_listening()
        wait_until(lambda: names(folder) == before | {person.dn})
        admin.delete(person.dn)
    finally:
        live.stop()


def test_a_person_who_moves_out_of_the_base_leaves(
    following: Callable[..., Following], server: NsSlapd, admin: ldap3.Connection
) -> None:
    """Into a part of the directory that the folder does not search."""
    live = following(PEOPLE_FILTER, base=server.people_base)
    (folder,) = live.folders
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    wait_until(lambda: person.dn in names(folder))
    admin.modify_dn(person.dn, "uid=moved", new_superior=server.suffix)
    wait_until(lambda: not names(folder) & {person.dn, f"uid=moved,{server.suffix}"})
    admin.delete(f"uid=moved,{server.suffix}")


def test_a_restart_and_an_edit_lose_nothing(
    following: Callable[..., Following], server: NsSlapd, admin: ldap3.Connection
) -> None:
    """The listener connects again and searches again."""
    live = following(WANTED)
    person, other = someone(description="wanted"), someone(description="other")
    admin.unbind()
    server.stop()
    wait_until(lambda: all(state.reason for state in live.live.states.values()))
    server.start()
    again = server.connection()
    again.add(person.dn, attributes=person.attributes)
    expect_in_sync(live)
    live.folders[0].edit(filter="(|(description=wanted)(description=other))")
    live.follow()
    live.expect_listening()
    again.add(other.dn, attributes=other.attributes)
    expect_in_sync(live)
    assert names(live.folders[0]) == {person.dn, other.dn}
    for left in (person, other):
        again.delete(left.dn)
    again.unbind()
    expect_in_sync(live)
    admin.open()
    admin.bind()


def test_full_runs_take_no_more_than_their_share_of_the_time(
    following: Callable[..., Following], admin: ldap3.Connection
) -> None:
    """After a run of a minute the next is ten minutes later; another folder is not affected."""
    live = following(WANTED, PEOPLE_FILTER)
    slow, brisk = live.folders
    expect_in_sync(live)
    report = next(one for one in live.reports if one.definition.definition_id == slow.definition_id)
    live.live.run_finished(slow.definition_id, replace(report, seconds={"search": 60.0}))
    before = names(slow)
    person = someone(description="wanted")
    admin.add(person.dn, attributes=person.attributes)
    wait_until(lambda: person.dn in names(brisk))
    assert names(slow) == before
    assert live.live.states[slow.definition_id].behind_since is not None
    admin.delete(person.dn)
