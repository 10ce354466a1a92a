"""A Hypothesis state machine over a directory, a definition, contacts, faults and runs, on real servers.

After every step the folder is what model.py and expected.py compute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import dict_row

from contactsync.errors import ContactsyncError, DatabaseError
from contactsync.ldap.connection.cache import SessionCache
from contactsync.model import Actor, Mode, Outcome, RunReport, Trigger
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.operations.undo import undo
from contactsync.settings.schema import Guard
from contactsync.sync.runner import Runner
from tests.faults.choices import BASES, FILTERS, MODES, QUICK, UNITS, attributes, texts
from tests.faults.directory import ChangingDirectory
from tests.faults.expected import Contact, recomputed
from tests.faults.model import ALWAYS_ALLOW, DELETE_SHARE, MAPPINGS, Expected, Folder
from tests.faults.world import World, world
from tests.integration.dispatch.test_live import Following
from tests.support.folder import BRISK, PEOPLE_FILTER
from tests.support.proxy import Fault, Harm
from tests.support.waiting import wait_until

_CONTACTS = "SELECT * FROM contactsync.contacts WHERE folder_id = %s"
_EDITS = {
    field: f"UPDATE contactsync.contacts SET {field} = %s WHERE folder_id = %s AND source_key = %s"  # noqa: S608
    for field in ("title", "notes", "city", "nickname")
}
_COLUMNS = ["filter", "base", "mapping", "max_delete_count", "allow_empty", "mode"]
_SKIP_A_DAY = """
UPDATE contactsync.sync_runs
SET started_at = started_at - interval '25 hours', finished_at = finished_at - interval '25 hours'
WHERE folder_id = %s AND mode = 'incremental'
"""
_LATEST = "SELECT * FROM contactsync.sync_runs WHERE folder_id = %s ORDER BY run_id DESC LIMIT 1"


class DirectoryAndFolder(ChangingDirectory):
    """One folder from its first run on."""

    person: ClassVar[psycopg.Connection[dict[str, Any]]]
    modes: ClassVar[Counter[Mode]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.world.folder("plain")
        self.model = Folder()
        self.sessions = SessionCache(per_server=2, most=2)
        limits = Guard(always_allow=ALWAYS_ALLOW, delete_share=DELETE_SHARE)
        options = replace(BRISK, guard=limits, page_size=3)
        self.runner = Runner(self.world.pool, self.folder.passwords, options, sessions=self.sessions)
        self.held: tuple[int, frozenset[str]] | None = None
        self.undoable: tuple[int, Folder] | None = None
        self.rekeyed: dict[str, str] = {}
        self.plans_are_known = True
        self._adopt_own()

    def teardown(self) -> None:
        """Empty the directory, and close everything."""
        self.sessions.close()
        self.delete_all()
        wait_until(lambda: not self.world.leftovers(self.folder), lambda: f"{self.world.leftovers(self.folder)}")

    @initialize(mapping=st.sampled_from(sorted(MAPPINGS)), mode=st.sampled_from(MODES))
    def choose(self, mapping: str, mode: str) -> None:
        """Choose the mapping and the mode of the first run."""
        self.model.definition.mapping, self.model.definition.mode = mapping, mode
        self.folder.edit(mapping=MAPPINGS[mapping], mode=mode)

    @rule(
        filter=st.sampled_from(FILTERS),
        base=st.sampled_from(BASES),
        mapping=st.sampled_from(sorted(MAPPINGS)),
        most=st.sampled_from([None, 0, 1, 500]),
        allow_empty=st.booleans(),
        mode=st.sampled_from(MODES),
        which=st.sets(st.sampled_from(_COLUMNS), min_size=1),
    )
    def edit(self, which: set[str], most: int | None, **values: Any) -> None:
        """Edit some columns of the definition."""
        values["max_delete_count"] = most
        chosen = {name: value for name, value in values.items() if name in which}
        for name, value in chosen.items():
            setattr(self.model.definition, name, value)
        columns = chosen | ({"mapping": MAPPINGS[chosen["mapping"]]} if "mapping" in chosen else {})
        revision = self.folder.definition.revision
        self.folder.edit(**columns)
        if self.folder.definition.revision != revision:
            self.model.approved = self.held = None

    @precondition(lambda self: self.model.contacts)
    @rule(data=st.data(), column=st.sampled_from(sorted(_EDITS)), text=st.sampled_from([None, "", "mine"]))
    def edit_contact(self, data: st.DataObject, column: str, text: str | None) -> None:
        """A user edits a contact of the definition."""
        key = data.draw(st.sampled_from(sorted(self.model.contacts)))
        self.person.execute(_EDITS[column], [text, self.folder.folder_id, key])
        self.model.contacts[key][column] = text
        self.undoable = None

    @precondition(lambda self: self.model.contacts)
    @rule(data=st.data())
    def delete_contact(self, data: st.DataObject) -> None:
        """A user deletes a contact of the definition; it returns with its id."""
        key = data.draw(st.sampled_from(sorted(self.model.contacts)))
        statement = "DELETE FROM contactsync.contacts WHERE folder_id = %s AND source_key = %s"
        self.person.execute(statement, [self.folder.folder_id, key])
        del self.model.contacts[key]
        self.undoable = None

    @rule(name=texts)
    def add_own(self, name: str) -> None:
        """A user adds a contact."""
        statement = "INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, %s)"
        self.person.execute(statement, [self.folder.folder_id, name])
        self._adopt_own()

    @rule(again=st.integers(1, 2))
    def run_twice(self, again: int) -> None:
        """Runs must be frequent."""
        for _ in range(again):
            self.run()

    @rule()
    def run(self) -> None:
        """A run does what it must, and its report says so."""
        self._skip_a_day()
        expected, before = self.model.expect(self._found()), deepcopy(self.model)
        report = self.runner.run(self.folder.definition_id, Trigger.MANUAL)
        event(f"run: {expected.outcome}")
        self.modes[report.mode] += 1
        assert report.outcome.value == expected.outcome, report.error or report.held_reason
        counts = report.counts
        assert (counts.inserted, counts.updated, counts.deleted) == _numbers(expected)
        self.folder.expect_row(report)
        self._note(report.run_id, expected, before)

    @rule(data=st.data(), values=attributes, leaves=st.booleans())
    def follow_live(self, data: st.DataObject, values: dict[str, Any], *, leaves: bool) -> None:
        """The daemon listens for changes of the folder; a person is changed or deleted, and the folder follows."""
        self.edit({"mode"}, None, mode="live")
        self.run()
        if self.held or not self.dns:
            return
        following = Following(self.runner, [self.folder])
        try:
            following.expect_listening()
            assert not any(map(acted, following.reports))
            self._skip_a_day()
            self._change_one(self._person(data), values, leaves=leaves)
            expected, before = self.model.expect(self._found()), deepcopy(self.model)
            if expected.outcome != "unchanged":
                wait_until(lambda: any(acted(report) for report in following.reports), "a live run")
        finally:
            following.stop()
        event(f"live: {expected.outcome}")
        caused = [report for report in following.reports if acted(report)]
        assert {report.outcome.value for report in caused} == {expected.outcome} - {"unchanged"}
        if caused:
            counts = caused[0].counts
            assert (counts.inserted, counts.updated, counts.deleted) == _numbers(expected)
            self._note(caused[-1].run_id, expected, before)

    def _change_one(self, uid: str, values: dict[str, Any], *, leaves: bool) -> None:
        """By one operation, so that no run sees a part of it."""
        if leaves:
            self.admin.delete(self.dns.pop(uid))
        else:
            title = values.get("title", [])
            self.admin.modify(self.dns[uid], {"title": [("MODIFY_REPLACE", title)]})

    @rule(
        harm=st.sampled_from(QUICK),
        database=st.booleans(),
        to_server=st.booleans(),
        after=st.integers(0, 25_000),
    )
    def run_with_a_fault(self, harm: Harm, after: int, *, database: bool, to_server: bool) -> None:
        """A run does what it must, or nothing."""
        self._skip_a_day()
        expected, before = self.model.expect(self._found()), deepcopy(self.model)
        proxy = self.world.database if database else self.world.plain
        most = {(True, True): 25_000, (True, False): 5_000, (False, True): 1_500, (False, False): 6_000}
        fault = Fault(harm, to_server, after % most[database, to_server])
        last = self._latest()
        proxy.arm(fault)
        self.world.pool.timeout = 0.3
        with suppress(DatabaseError):
            self.runner.run(self.folder.definition_id, Trigger.MANUAL)
        struck = proxy.struck
        proxy.heal()
        self.world.pool.timeout = 10
        row = self._latest()
        new = row is not None and (last is None or row["run_id"] != last["run_id"])
        outcome = row["outcome"] if new and row else None
        event(f"run with a fault that {'struck' if struck else 'did not strike'}: {outcome}")
        self.plans_are_known &= outcome is not None
        assert outcome in {None, "failed", expected.outcome}
        if outcome == expected.outcome and row:
            assert (row["inserted"], row["updated"], row["deleted"]) == _numbers(expected)
            self._note(row["run_id"], expected, before)

    @rule()
    def preview(self) -> None:
        """A preview says what a run would do, and does nothing."""
        self._skip_a_day()
        expected = self.model.expect(self._found())
        report = self.runner.preview(self.folder.definition).report
        assert report.outcome.value == expected.outcome, report.held_reason
        if expected.outcome != "unchanged":
            counts = report.counts
            assert (counts.inserted, counts.updated, counts.deleted) == _numbers(expected)

    @precondition(lambda self: self.held)
    @rule(decision=st.sampled_from([approve, approve, reject]))
    def decide(self, decision: Any) -> None:
        """Approve or reject the plan of a held run."""
        assert self.held
        run_id, deletions = self.held
        try:
            decision(self.person, open_plan(self.person, run_id), Actor("unix", "anna", "cli"))
        except ContactsyncError:
            # A run whose end was lost may have stored a plan of its own, or have applied this one.
            assert not self.plans_are_known
            self.held = None
            return
        event(f"held run: {decision.__name__}")
        self.held = self.held if decision is approve else None
        self.model.approved = deletions if decision is approve else None

    @precondition(lambda self: self.undoable)
    @rule()
    def undo(self) -> None:
        """Undo the last run, which pauses its definition; a run on request does the same again."""
        assert self.undoable
        run_id, before = self.undoable
        for new, old in self.rekeyed.items():
            self.model.ids[old] = self.model.ids.pop(new)
        undo(self.world.pool, run_id, Actor("unix", "anna", "cli"))
        event("undone")
        self.model.contacts = deepcopy(before.contacts)
        self.model.approved = self.held = self.undoable = None

    @invariant()
    def the_folder_is_as_the_model(self) -> None:
        """In each field; contacts keep their first ids, and those of no definition stay."""
        rows = self.person.execute(_CONTACTS, [self.folder.folder_id]).fetchall()
        ours = {row["source_key"]: row for row in rows if row["definition_id"] is not None}
        assert {key: {name: ours[key][name] for name in wanted} for key, wanted in self.model.contacts.items()} == (
            self.model.contacts
        )
        assert ours.keys() == self.model.contacts.keys()
        ids = self.model.ids
        assert {key: ids.setdefault(key, row["contact_id"]) for key, row in ours.items()} == {
            key: row["contact_id"] for key, row in ours.items()
        }
        assert {
            row["contact_id"]: row["display_name"] for row in rows if row["definition_id"] is None
        } == self.model.own

    def _note(self, run_id: int, expected: Expected, before: Folder) -> None:
        if expected.outcome == "held":
            self.held = run_id, expected.deleted
            return
        self.model.follow(expected)
        self.rekeyed = expected.rekeyed
        self.held = None
        self.undoable = (run_id, before) if expected.outcome == "changed" else None

    def _latest(self) -> dict[str, Any] | None:
        return self.person.execute(_LATEST, [self.folder.folder_id]).fetchone()

    def _skip_a_day(self) -> None:
        """The guard adds up what increments delete within a day, which this machine does not model."""
        self.person.execute(_SKIP_A_DAY, [self.folder.folder_id])

    def _found(self) -> dict[str, Contact]:
        definition = self.model.definition
        return recomputed(self.world.slapd, base=definition.base, search_filter=definition.filter or PEOPLE_FILTER)

    def _adopt_own(self) -> None:
        rows = self.person.execute(_CONTACTS, [self.folder.folder_id]).fetchall()
        self.model.own = {row["contact_id"]: row["display_name"] for row in rows if row["definition_id"] is None}


def acted(report: RunReport) -> bool:
    """Whether a run had something to do."""
    return report.outcome is not Outcome.UNCHANGED


def _numbers(expected: Expected) -> tuple[int, int, int]:
    return expected.inserted, expected.updated, len(expected.deleted)


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a directory of two empty units and a PostgreSQL for the machine."""
    units = "".join(
        f"dn: {unit},ou=people,dc=example,dc=test\nobjectClass: organizationalUnit\nou: {unit[3:]}\n\n"
        for unit in UNITS
    )
    machine = DirectoryAndFolder
    with world(tmp_path_factory.mktemp("machine"), units) as made:
        machine.world, machine.admin = made, made.slapd.connection()
        with psycopg.connect(made.conninfo, autocommit=True, row_factory=dict_row) as machine.person:
            yield made
        machine.admin.unbind()


@pytest.mark.usefixtures("servers")
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # psycopg's pool does, in threads of its own
def test_the_folder_is_always_what_a_plain_recomputation_says(times: int, seed: str) -> None:
    """Whatever happens to the directory, the definition, the contacts and the connections, in any order."""
    run_state_machine_as_test(
        DirectoryAndFolder,
        settings=settings(
            max_examples=20 * times,
            stateful_step_count=25,
            derandomize=seed == "1",
            # To search for the shortest way to a failure takes minutes: only with --faults.
            phases=[Phase.generate] if times == 1 else list(Phase),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    assert DirectoryAndFolder.modes.keys() == {Mode.FULL, Mode.INCREMENTAL}
