"""First loads, which are inserted while the directory is still being read: all contacts arrive, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any

import ldap3
import pytest

from contactsync.ldap.search import read_ahead
from contactsync.model import Counts, Outcome, RunReport
from contactsync.sync import early_load, reader
from contactsync.sync.runner import Runner
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import PEOPLE_FILTER, SyncedFolder, people
from tests.support.observers import Progress
from tests.support.proxy import Fault, Harm, Proxy
from tests.support.waiting import wait_until

MANY = 3200
"""More than two lots, so that the first ones are inserted long before the last one is read."""
PAGE = 500
EARLY = 1600
"""Entries after which a load has gone ahead."""
_NUMBERED = {"identity": "employeeNumber"}
_OPEN = """
SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
WHERE d.datname = current_database() AND l.relation = 'contactsync.contacts'::regclass AND l.mode = 'RowExclusiveLock'
"""
"""How many transactions have written contacts and are not at their end."""


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the start of an early load independent of how busy PostgreSQL and the directory are."""
    monkeypatch.setattr(reader, "read_ahead", partial(read_ahead, octets=0))
    monkeypatch.setattr(early_load, "SILENCE_SECONDS", 60.0)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a directory of many people, two of five with a photo."""
    with PrivateSlapd(tmp_path_factory.mktemp("company") / "slapd", ldif=people_ldif(MANY)) as server:
        yield server


@pytest.fixture
def proxy(company: PrivateSlapd) -> Iterator[Proxy]:
    """Put a proxy between the runs and the directory that can fall silent."""
    with closing(Proxy(company.port)) as proxy:
        yield proxy


@pytest.fixture
def empty(make_folder: Callable[..., SyncedFolder], company: PrivateSlapd, proxy: Proxy) -> SyncedFolder:
    """Define an empty folder."""
    return make_folder(company, query=f"ldap://127.0.0.1:{proxy.port}/{company.suffix}", tls="none")


class Middle:
    """Acts during the first reading, once contacts are being inserted, and notes how many other sessions see."""

    def __init__(self, folder: SyncedFolder, act: Callable[[], Any] = lambda: None) -> None:
        self._folder = folder
        self._act = act
        self._stages: list[str] = []
        self.seen: int | None = None
        self.open_later: int | None = None
        """Open transactions when the directory is connected to for the second time."""

    def __call__(self, stage: str, counts: Counts) -> None:
        """See Progress."""
        if self.seen is None and stage == "search" and counts.entries >= EARLY:
            wait_until(self._open, "something to be inserted early")
            self.seen = len(self._folder.contacts())
            self._act()
        if stage == "connect":
            self._stages.append(stage)
            if len(self._stages) > 1:
                self.open_later = self._open()

    def _open(self) -> int:
        return int(self._folder.query(_OPEN)[0]["count"])


def load(folder: SyncedFolder, progress: Progress, **options: Any) -> RunReport:
    """Make a run with pages that are small enough for a first load to have a middle."""
    return folder.run(progress, page_size=PAGE, **options)


def expect_all(folder: SyncedFolder, report: RunReport) -> None:
    """All people are there and nothing else, written in one transaction and recorded by this run."""
    assert (report.outcome, report.error) == (Outcome.CHANGED, None)
    folder.expect_row(report)
    assert folder.contacts() == people(folder.slapd)
    rows = folder.rows()
    brought = [row for row in rows["contacts"] if row["definition_id"]]
    assert len({row["xmin"] for row in brought}) == 1
    assert {row["xmin"] for row in rows["history"]} == {brought[0]["xmin"]}
    recorded = {row["contact_id"]: row["display_name"] for row in rows["history"]}
    assert recorded == {row["contact_id"]: row["display_name"] for row in brought}
    assert {(row["run_id"], row["action"]) for row in rows["history"]} == {(report.run_id, "insert")}
    assert report.counts.inserted == len(brought) == len(rows["history"])


def undone(folder: SyncedFolder) -> list[str]:
    """The log lines with the reason why an early load was undone."""
    return [line for line in folder.log if '"run.restarted"' in line]


def test_other_sessions_see_no_part_of_it(empty: SyncedFolder) -> None:
    """The next run finds nothing to do."""
    middle = Middle(empty)
    report = load(empty, middle)
    assert middle.seen == 0
    expect_all(empty, report)
    assert (report.attempts, undone(empty)) == (1, [])
    assert empty.run().outcome is Outcome.UNCHANGED


def test_photos_arrive(empty: SyncedFolder) -> None:
    """Each with its own contact."""
    report = load(empty, Middle(empty))
    expect_all(empty, report)
    admin = empty.slapd.connection()
    admin.search(empty.slapd.suffix, "(jpegPhoto=*)", attributes=["entryUUID", "jpegPhoto"])
    entries = [entry["raw_attributes"] for entry in admin.response]
    admin.unbind()
    photos = {entry["entryUUID"][0].decode(): entry["jpegPhoto"][0] for entry in entries}
    rows = empty.query(
        "SELECT c.source_key, c.photo_digest, p.digest, p.photo FROM contactsync.contacts AS c"
        " JOIN contactsync.contact_photos AS p USING (folder_id, contact_id) WHERE c.definition_id = %s",
        empty.definition_id,
    )
    assert {row["source_key"]: row["photo"] for row in rows} == photos
    digests = {blake2b(row["photo"], digest_size=16).digest() == row["digest"] == row["photo_digest"] for row in rows}
    assert digests == {True}
    assert len(photos) > MANY // 4


def after_early(make_folder: Callable[..., SyncedFolder], folder: SyncedFolder, proxy: Proxy) -> int:
    """The octets that the directory has sent when three quarters of a load are read."""
    other = make_folder(folder.slapd, query=folder.definition.query, tls="none")
    return proxy.measure(partial(load, other, lambda *_: None))[False] * 3 // 4


def test_a_silent_directory_keeps_no_transaction_open(
    make_folder: Callable[..., SyncedFolder], empty: SyncedFolder, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The early load is undone long before the receive timeout, and the run reads all entries again."""
    monkeypatch.setattr(early_load, "SILENCE_SECONDS", 5.0)
    middle = Middle(empty)
    proxy.arm(Fault(Harm.STALL, to_server=False, after=after_early(make_folder, empty, proxy)))
    report = load(empty, middle, receive_timeout=60)
    assert (middle.seen, middle.open_later) == (0, 0)
    expect_all(empty, report)
    (line,) = undone(empty)
    assert "did not answer for 5 seconds" in line
    assert report.attempts == 2


@contextmanager
def numbered(company: PrivateSlapd, numbers: dict[int, list[bytes]]) -> Iterator[list[str]]:
    """Give people other employee numbers for the block; yields their DNs."""
    admin = company.connection()
    admin.search(company.suffix, "(employeeNumber=*)", attributes=["employeeNumber"])
    entries = [(entry["dn"], entry["raw_attributes"]["employeeNumber"]) for entry in admin.response]
    try:
        for place, values in numbers.items():
            _give(admin, entries[place][0], values)
        yield [entries[place][0] for place in numbers]
    finally:
        for place in numbers:
            _give(admin, *entries[place])
        admin.unbind()


def without_number(company: PrivateSlapd) -> set[str]:
    """The DNs of the people without a number."""
    admin = company.connection()
    admin.search(company.suffix, f"(&{PEOPLE_FILTER}(!(employeeNumber=*)))")
    found = {entry["dn"] for entry in admin.response}
    admin.unbind()
    return found


def _give(admin: ldap3.Connection, dn: str, values: list[bytes]) -> None:
    assert admin.modify(dn, {"employeeNumber": [(ldap3.MODIFY_REPLACE, values)]}), admin.result


def test_two_entries_with_one_identity_far_apart(
    make_folder: Callable[..., SyncedFolder], company: PrivateSlapd
) -> None:
    """Neither becomes a contact, although one was inserted already."""
    folder = make_folder(company, mapping=_NUMBERED, filter="(employeeNumber=*)")
    with numbered(company, {3: [b"7"], -3: [b"7"]}) as twins:
        report = load(folder, Middle(folder))
        assert (report.counts.inserted, report.counts.rejected) == (report.counts.entries - 2, 2)
        assert {row["source_dn"] for row in folder.rows()["contacts"]}.isdisjoint(twins)
        assert rejected(folder, report) == set(twins)
        (line,) = undone(folder)
        assert "An identity came twice." in line
    assert folder.run().counts.inserted == 2


def test_entries_without_an_identity_are_recorded(
    make_folder: Callable[..., SyncedFolder], company: PrivateSlapd
) -> None:
    """In the first batch and in the last; all other people are there."""
    folder = make_folder(company, mapping=_NUMBERED)
    with numbered(company, {3: [], -3: []}) as nameless:
        report = load(folder, Middle(folder))
        unnumbered = without_number(company)
        assert set(nameless) < unnumbered
        assert (report.outcome, report.counts.inserted) == (Outcome.CHANGED, MANY - len(unnumbered))
        assert rejected(folder, report) == unnumbered
        assert undone(folder) == []


def rejected(folder: SyncedFolder, report: RunReport) -> set[str]:
    """The DNs that a run has recorded as rejected."""
    rows = folder.query("SELECT dn FROM contactsync.rejected_entries WHERE run_id = %s", report.run_id)
    return {row["dn"] for row in rows}


def test_an_identity_that_an_application_wrote_meanwhile(empty: SyncedFolder) -> None:
    """The run overwrites the contact, as every run does."""
    admin = empty.slapd.connection()
    admin.search(empty.slapd.suffix, PEOPLE_FILTER, attributes=["entryUUID"])
    last = admin.response[-1]["raw_attributes"]["entryUUID"][0].decode()
    admin.unbind()

    def write() -> None:
        empty.query(
            "INSERT INTO contactsync.contacts (folder_id, definition_id, source_key, fingerprint, display_name)"
            " VALUES (%s, %s, %s, '\\x00', 'By hand')",
            empty.folder_id,
            empty.definition_id,
            last,
        )

    report = load(empty, Middle(empty, write))
    assert (report.outcome, report.counts.inserted, report.counts.updated) == (Outcome.CHANGED, MANY - 1, 1)
    assert empty.contacts() == people(empty.slapd)
    assert len(undone(empty)) == 1


@pytest.mark.parametrize("removed", [False, True])
def test_a_definition_that_is_edited_or_removed_meanwhile(empty: SyncedFolder, *, removed: bool) -> None:
    """The edit does not wait, nothing is inserted, and nothing is read again."""

    def act() -> None:
        if removed:
            empty.query("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", empty.definition_id)
        else:
            empty.edit(max_delete_count=7)

    before = empty.rows()
    middle = Middle(empty, act)
    report = load(empty, middle)
    assert (middle.seen, report.outcome, report.error_code, report.attempts) == (
        0,
        Outcome.CANCELLED,
        "run.cancelled",
        1,
    )
    assert "was edited or removed" in (report.error or "")
    assert empty.rows() == before


def test_a_run_that_is_cancelled_meanwhile(empty: SyncedFolder) -> None:
    """Nothing of it remains, and the next run is an early load again."""
    runner: Runner = empty.runner(page_size=PAGE)

    def cancel() -> None:
        (active,) = runner.active()
        runner.cancel(active.run_id)

    before = empty.rows()
    report = empty.run(Middle(empty, cancel), runner=runner)
    assert (report.outcome, report.attempts, undone(empty)) == (Outcome.CANCELLED, 1, [])
    assert empty.rows() == before
    expect_all(empty, load(empty, Middle(empty)))


def test_a_connection_that_breaks_meanwhile(
    make_folder: Callable[..., SyncedFolder], empty: SyncedFolder, proxy: Proxy
) -> None:
    """The attempt has failed; the next one inserts nothing until all entries are read."""
    middle = Middle(empty)
    proxy.arm(Fault(Harm.CUT, to_server=False, after=after_early(make_folder, empty, proxy)))
    report = load(empty, middle)
    assert (report.attempts, middle.seen, middle.open_later, undone(empty)) == (2, 0, 0, [])
    expect_all(empty, report)


def test_contacts_that_were_here_before_get_their_ids_back(empty: SyncedFolder) -> None:
    """A folder that a user has emptied is no first load."""
    load(empty, Middle(empty))
    before = {row["source_key"]: row["contact_id"] for row in empty.rows()["contacts"]}
    empty.query("DELETE FROM contactsync.contacts WHERE definition_id = %s", empty.definition_id)
    report = empty.run()
    assert (report.outcome, report.counts.inserted) == (Outcome.CHANGED, MANY)
    assert {row["source_key"]: row["contact_id"] for row in empty.rows()["contacts"]} == before
    assert empty.rows()["departed"] == []
