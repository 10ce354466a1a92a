"""Live folders of a real OpenLDAP, through restarts of the server and edits of their definitions."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import ldap3
import pytest

from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.dispatch.followed import Followed
from contactsync.dispatch.live import LiveFolders
from contactsync.ldap.changes import position
from contactsync.ldap.connection.session import Session
from contactsync.model import Mode, Outcome, RunReport, Trigger
from contactsync.store.record.cursors import KeptCursor
from contactsync.sync.definition import Resolved, resolve
from contactsync.sync.runner import Runner
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder, captured_log, dismiss, parent_of, someone
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, wait_until

PEOPLE = 30
UNITS, FILTERS = 24, 8
SEARCHES = 2
"""On one connection: half of the threads that this slapd has."""
LISTENERS = 6
"""To end them one after the other would take two seconds each: longer than one of them waits for the others here."""
_numbers = count(5000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a directory that reports changes."""
    directory = tmp_path_factory.mktemp("live") / "slapd"
    with PrivateSlapd(directory, ldif=people_ldif(PEOPLE), session_log=1000) as slapd:
        yield slapd


class Following:
    """Live folders of one runner, so many of mode auto, and their runs."""

    def __init__(self, runner: Runner, folders: list[SyncedFolder], *, auto: int = 0) -> None:
        self.auto = auto
        self.reports: list[RunReport] = []
        self.folders = folders
        self.runner = runner
        self.dispatcher = Dispatcher(self._run, lambda _: "", workers=2, per_server=2)
        self.may_listen = True
        self.live = LiveFolders(runner, self.dispatcher, lambda: self.may_listen)
        self.dispatcher.start()
        self.follow()

    def _run(self, request: RunRequest) -> RunReport:
        definition_id = request.definition_id
        report = self.runner.run(definition_id, request.trigger, live=self.live.run_started(definition_id))
        self.live.run_finished(definition_id, report)
        self.reports.append(report)
        return report

    def follow(self) -> None:
        """Listen for the definitions in the table."""
        resolved = {folder.definition.definition_id: resolve(folder.definition) for folder in self.folders}
        followed = map(Followed.valid, resolved.values())
        self.live.follow(followed, lambda chosen: [resolved[each.definition_id] for each in chosen], auto=self.auto)

    def expect_in_sync(self, folder: SyncedFolder) -> None:
        """The folder gets in sync."""
        wait_until(lambda: folder.contacts() == folder.people())

    def expect_listening(self) -> None:
        """Every folder is listened for, and no change is pending."""

        def settled() -> bool:
            states = self.live.states.values()
            return bool(states) and all(state.listening_since and not state.behind_since for state in states)

        wait_until(settled)

    def stop(self) -> None:
        """End all threads."""
        self.live.stop()
        self.dispatcher.stop()
        assert self.dispatcher.join(PATIENCE)


@pytest.fixture
def following(make_folder: Callable[..., SyncedFolder], server: PrivateSlapd) -> Iterator[Callable[[int], Following]]:
    """Follow so many folders of the server."""
    made: list[Following] = []

    def follow(number: int) -> Following:
        folders = [make_folder(server, mode="live", max_delete_share=1) for _ in range(number)]
        made.append(Following(folders[0].runner(), folders))
        return made[-1]

    yield follow
    for one in made:
        one.stop()


def test_every_change_arrives(following: Callable[[int], Following], admin: ldap3.Connection) -> None:
    """Adds, edits, renames and deletes, each by an incremental run."""
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    live.expect_in_sync(folder)
    person = someone()
    first = len(live.reports)
    admin.add(person.dn, attributes=person.attributes)
    live.expect_in_sync(folder)
    admin.modify(person.dn, {"description": [(ldap3.MODIFY_REPLACE, ["Changed"])]})
    live.expect_in_sync(folder)
    admin.modify_dn(person.dn, "uid=renamed")
    live.expect_in_sync(folder)
    admin.delete(f"uid=renamed,{parent_of(person.dn)}")
    live.expect_in_sync(folder)
    live.expect_listening()
    caused = live.reports[first:]
    assert caused
    assert {(report.trigger, report.mode) for report in caused} == {(Trigger.LIVE, Mode.INCREMENTAL)}


def test_nothing_is_reported_without_the_lease(following: Callable[[int], Following], admin: ldap3.Connection) -> None:
    """As in a node of a fleet that was stopped: it closes its connection, and reads the change when it may listen."""
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    live.expect_in_sync(folder)
    number = len(live.reports)
    live.may_listen = False
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    wait_until(lambda: all(not state.listening_since for state in live.live.states.values()))
    ((reason, runs),) = [(state.reason, len(live.reports)) for state in live.live.states.values()]
    assert "another node may listen" in str(reason)
    assert runs == number
    live.may_listen = True
    live.expect_in_sync(folder)
    live.expect_listening()
    admin.delete(person.dn)


def test_an_increment_with_nothing_to_do_leaves_no_row(
    following: Callable[[int], Following], admin: ldap3.Connection
) -> None:
    """The status says that the folder was checked; a run that a person requests has a row, and so has a recovery."""
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    live.expect_in_sync(folder)
    live.expect_listening()
    before, first = folder.status(), len(live.reports)

    def touch() -> RunReport:
        """Write the entry without a change, and wait for the run."""
        number = len(live.reports)
        admin.modify(person.dn, {"sn": [(ldap3.MODIFY_REPLACE, person.attributes["sn"])]})
        wait_until(lambda: len(live.reports) > number)
        live.expect_listening()
        return live.reports[-1]

    idle = touch()
    assert (idle.trigger, idle.mode, idle.outcome) == (Trigger.LIVE, Mode.INCREMENTAL, Outcome.UNCHANGED)
    assert len(live.reports) > first
    statement = "SELECT run_id FROM contactsync.sync_runs WHERE run_id = ANY (%s)"
    assert not folder.query(statement, [report.run_id for report in live.reports[first:]])
    after = folder.status()
    assert after["last_success_at"] > before["last_success_at"]
    assert (after["last_run_id"], after["last_outcome"]) == (before["last_run_id"], "unchanged")
    requested = live.dispatcher.request(folder.definition_id, Trigger.MANUAL, asked_at=time.monotonic(), awaited=True)
    assert folder.row(requested.result(PATIENCE).run_id)["outcome"] == "unchanged"
    folder.query(
        "UPDATE contactsync.sync_status SET last_outcome = 'failed' WHERE definition_id = %s RETURNING 1",
        folder.definition_id,
    )
    assert folder.row(touch().run_id)["outcome"] == "unchanged"
    admin.delete(person.dn)
    live.expect_in_sync(folder)


def test_a_change_is_confirmed_when_the_log_is_complete(
    following: Callable[[int], Following], admin: ldap3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of OpenLDAP may lag behind its contextCSN, so a second run reads the same changes again."""
    monkeypatch.setattr(position, "SETTLE_SECONDS", 0.5)
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    live.expect_in_sync(folder)

    def certain() -> bool:
        statement = "SELECT value FROM contactsync.sync_cursors WHERE definition_id = %s"
        (row,) = folder.query(statement, folder.definition_id)
        stored = position.Position.parse(row["value"])
        return stored is not None and stored.is_certain

    wait_until(certain)
    admin.delete(person.dn)


def test_a_move_of_a_unit_takes_its_people_along(
    following: Callable[[int], Following], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The server reports the unit only."""
    number = next(_numbers)
    above, below = f"ou=above {number},{server.people_base}", f"ou=team {number},{server.people_base}"
    person = someone()
    for dn in (above, below):
        admin.add(dn, "organizationalUnit")
    admin.add(f"uid=member,{below}", attributes=person.attributes | {"uid": ["member"]})
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    live.expect_in_sync(folder)
    admin.modify_dn(below, f"ou=team {number}", new_superior=above)
    live.expect_in_sync(folder)
    assert f"uid=member,ou=team {number},{above}" in {dn for dn, _, _ in folder.contacts()}


def test_a_full_run_delays_no_increment(following: Callable[[int], Following], admin: ldap3.Connection) -> None:
    """However long the full run took."""
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    live.expect_in_sync(folder)
    increment, full = live.reports[-1], replace(live.reports[0], mode=Mode.FULL, seconds={"search": 600.0})
    for report in (replace(increment, mode=Mode.INCREMENTAL), full):
        live.live.run_finished(folder.definition_id, report)
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    live.expect_in_sync(folder)
    admin.delete(person.dn)
    live.expect_in_sync(folder)


def test_folders_of_one_server_and_user_share_a_connection(
    following: Callable[[int], Following], admin: ldap3.Connection
) -> None:
    """Twelve folders use one, and each gets the changes."""
    live = following(12)
    live.expect_listening()
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    for folder in live.folders:
        live.expect_in_sync(folder)
    assert sum(thread.name == "live" for thread in threading.enumerate()) == 1


def test_many_folders_each_with_a_search_of_its_own(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Some with a base, some with a filter of their own: each gets its change alone, over few connections."""
    proxy = Proxy(server.port)
    common = {"query": f"ldap://127.0.0.1:{proxy.port}", "tls": "none", "mode": "live"}
    folders: dict[SyncedFolder, str] = {}
    added: list[str] = []
    for number in range(UNITS):
        unit = f"ou=unit {number},{server.people_base}"
        admin.add(unit, "organizationalUnit")
        folders[make_folder(server, base=unit, **common)] = unit
    for number in range(FILTERS):
        filters = f"(description=filter {number})"
        folders[make_folder(server, filter=filters, **common)] = server.people_base
    live = Following(next(iter(folders)).runner(), list(folders))
    try:
        live.expect_listening()
        wait_until(lambda: proxy.open <= (UNITS + FILTERS) / SEARCHES)
        before = len(live.reports)
        for folder, place in folders.items():
            person = someone()
            wanted = (folder.definition.filter or "(=none)").partition("=")[2].rstrip(")")
            added.append(f"uid=one {len(added)},{place}")
            own = {"uid": [f"one {len(added) - 1}"], "description": [wanted]}
            admin.add(added[-1], attributes=person.attributes | own)
        for folder, dn in zip(folders, added, strict=True):
            wait_until(lambda folder=folder, dn=dn: {who for who, _, _ in folder.contacts()} == {dn})  # type: ignore[misc]
        live.expect_listening()
        changed = (report for report in live.reports[before:] if report.outcome is Outcome.CHANGED)
        assert set(Counter(report.definition.definition_id for report in changed).values()) == {1}
        assert sum(thread.name == "live" for thread in threading.enumerate()) == 1
    finally:
        live.stop()
        proxy.close()
        for dn in added:
            admin.delete(dn)


def test_a_folder_that_cannot_be_listened_for_does_not_disturb_others(
    following: Callable[[int], Following], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Its base is deleted; when it exists again, the changes since then arrive."""
    live = following(2)
    folder, other = live.folders
    unit = f"ou=unit {next(_numbers)},{server.people_base}"
    admin.add(unit, "organizationalUnit")
    folder.edit(base=unit, allow_empty=True)
    live.follow()
    live.expect_listening()
    admin.delete(unit)
    folder.edit(filter="(objectClass=person)")
    live.follow()
    wait_until(lambda: "does not know the search base" in (live.live.states[folder.definition_id].reason or ""))
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    live.expect_in_sync(other)
    admin.add(unit, "organizationalUnit")
    admin.add(f"uid=back,{unit}", attributes=person.attributes | {"uid": ["back"]})
    wait_until(lambda: {dn for dn, _, _ in folder.contacts()} == {f"uid=back,{unit}"})
    for dn in (person.dn, f"uid=back,{unit}", unit):
        admin.delete(dn)


def test_a_search_that_the_server_is_too_busy_for_concerns_its_own_folder_alone(
    make_folder: Callable[..., SyncedFolder], tmp_path: Path
) -> None:
    """A server that ends only one of the searches with an error that may pass; the overlay retcode does that."""
    codes = "ou=codes,dc=example,dc=test"
    busy = f'retcode\nretcode-parent "{codes}"\nretcode-item "cn=busy" 0x33'
    with PrivateSlapd(tmp_path / "slapd", ldif=people_ldif(PEOPLE), session_log=100, outer_overlay=busy) as slapd:
        oldest, folder = folders = [make_folder(slapd, mode="live", max_delete_share=1) for _ in range(2)]
        oldest.edit(base=f"cn=busy,{codes}")
        live = Following(folder.runner(), folders)
        try:
            wait_until(lambda: "busy (51)" in (live.live.states[oldest.definition_id].reason or ""))
            wait_until(lambda: live.live.states[folder.definition_id].listening_since)
            listening_since = live.live.states[folder.definition_id].listening_since
            dismiss(slapd, 1)
            live.expect_in_sync(folder)
            assert live.live.states[folder.definition_id].listening_since == listening_since
        finally:
            live.stop()


def test_changes_during_an_outage_arrive(
    following: Callable[[int], Following], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """After the next connection a run reads them."""
    live = following(1)
    (folder,) = live.folders
    live.expect_listening()
    live.expect_in_sync(folder)
    admin.unbind()
    server.kill()
    wait_until(lambda: all(state.reason for state in live.live.states.values()))
    assert (live.live.snapshot.listening, live.live.snapshot.not_listening) == (0, 1)
    server.start()
    again = server.connection()
    person = someone()
    again.add(person.dn, attributes=person.attributes)
    live.expect_in_sync(folder)
    live.expect_listening()
    assert (live.live.snapshot.listening, live.live.snapshot.not_listening, live.live.snapshot.behind_seconds) == (
        1,
        0,
        0,
    )
    again.delete(person.dn)
    again.unbind()
    live.expect_in_sync(folder)
    admin.open()
    admin.bind()


def test_an_edit_takes_effect_at_once(
    following: Callable[[int], Following], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The new filter's entries arrive, and a paused folder gets no changes."""
    live = following(2)
    first, second = live.folders
    live.expect_listening()
    first.edit(filter="(|(objectClass=inetOrgPerson)(objectClass=organizationalRole))", filter_only=True)
    second.edit(mode="full")
    live.follow()
    wait_until(lambda: set(live.live.states) == {first.definition_id})
    live.expect_listening()
    before = second.contacts()
    number = next(_numbers)
    dn = f"cn=front desk {number},{server.suffix}"
    admin.add(dn, "organizationalRole", {"cn": f"front desk {number}"})

    def came(folder: SyncedFolder) -> bool:
        return len(folder.query("SELECT source_dn FROM contactsync.contacts WHERE source_dn = %s", dn)) > 0

    wait_until(lambda: came(first))
    assert second.contacts() == before


def test_an_edit_does_not_wait_for_listeners_that_end(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """All of them close their connections at the same time, while the edit goes on."""
    folders = [make_folder(server, mode="live") for _ in range(LISTENERS)]
    for number, folder in enumerate(folders):
        folder.edit(password_sealed=None, password_ref=f"env:READER{number}")
    meeting = threading.Barrier(LISTENERS + 1)
    ending = threading.Event()

    class SlowToClose(Runner):
        @contextmanager
        def listening(self, resolved: Resolved) -> Iterator[Session]:
            with super().listening(resolved) as session:
                yield session
                if ending.is_set():
                    meeting.wait(LISTENERS)

    passwords = {f"READER{number}": server.reader_password for number in range(LISTENERS)}
    live = Following(SlowToClose(folders[0].pool, replace(folders[0].passwords, environ=passwords), BRISK), folders)
    live.expect_listening()
    ending.set()
    live.folders = []
    live.follow()
    meeting.wait(LISTENERS)
    live.stop()


def test_a_crash_concerns_its_own_folder_alone(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """An unexpected error when one folder is about to be listened for leaves the others listening."""
    folder, other = folders = [make_folder(server, mode="live", max_delete_share=1) for _ in range(2)]

    class Broken(Runner):
        def kept_cursor(self, resolved: Resolved) -> KeptCursor | None:
            if resolved.definition.definition_id == folder.definition_id:
                message = "a defect"
                raise RuntimeError(message)
            return super().kept_cursor(resolved)

    with captured_log() as lines:
        live = Following(Broken(folder.pool, folder.passwords, BRISK), folders)
        try:
            wait_until(lambda: live.live.states[other.definition_id].listening_since)
            wait_until(lambda: any('"live.crashed"' in line for line in lines))
            person = someone()
            admin.add(person.dn, attributes=person.attributes)
            live.expect_in_sync(other)
            admin.delete(person.dn)
            live.expect_in_sync(other)
        finally:
            live.stop()
    assert live.live.states == {}
    assert not [line for line in lines if '"live.lost"' in line]


def test_a_password_that_does_not_open_concerns_its_own_folder_alone(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Folders of the same server and user, of which the oldest and the newest have a password of another key."""
    oldest, folder, newest = folders = [make_folder(server, mode="live", max_delete_share=1) for _ in range(3)]
    for closed in (oldest, newest):
        closed.edit(password_sealed=b"\x02" + b"x" * 60)
    live = Following(folder.runner(), folders)
    try:
        wait_until(lambda: live.live.states[folder.definition_id].listening_since)
        person = someone()
        admin.add(person.dn, attributes=person.attributes)
        live.expect_in_sync(folder)
        admin.delete(person.dn)
        live.expect_in_sync(folder)
        for closed in (oldest, newest):
            state = live.live.states[closed.definition_id]
            assert state.listening_since is None
            assert "was sealed with another key" in (state.reason or "")
            wait_until(lambda closed=closed: closed.status()["last_outcome"] == "failed")  # type: ignore[misc]
        newest.set_password(server.reader_password)
        live.follow()
        live.expect_in_sync(newest)
        wait_until(lambda: live.live.states[newest.definition_id].listening_since)
        assert sum(thread.name == "live" for thread in threading.enumerate()) == 1
    finally:
        live.stop()
    assert not [
        report for report in live.reports if report.definition.definition_id == folder.definition_id and report.error
    ]


def test_another_password_of_the_same_user_gets_its_own_connection(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """A folder with a wrong password neither uses nor ends the connection of the others."""
    folder, wrong = folders = [make_folder(server, mode="live", max_delete_share=1) for _ in range(2)]
    wrong.set_password("another password")
    live = Following(folder.runner(), folders)
    try:
        wait_until(lambda: any(report.credentials_refused for report in live.reports))
        wait_until(lambda: live.live.states[folder.definition_id].listening_since)
        assert live.live.states[wrong.definition_id].listening_since is None
    finally:
        live.stop()
