"""389 Directory Server: nsUniqueId, access rules that hide everything, limits, pages, renames, TLS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import ldap3
import pytest

from contactsync.checks.check import check
from contactsync.checks.context import CheckLimits
from contactsync.checks.result import Status, StepResult
from contactsync.model import Outcome
from contactsync.operations.directory_lookup import look_up
from contactsync.operations.explain import Verdict, explain
from tests.support.folder import BRISK, PEOPLE_FILTER, SyncedFolder
from tests.support.ns_slapd import LIMIT, NsSlapd, running, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PEOPLE = 60
NS_UNIQUE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){3}")

MakeFolder = Callable[..., SyncedFolder]


@pytest.fixture(scope="session")
def shared_389() -> Iterator[NsSlapd]:
    """Run one server of 60 people for the session."""
    with running(PEOPLE) as server:
        yield server


@pytest.fixture
def admin(shared_389: NsSlapd) -> Iterator[ldap3.Connection]:
    """Change the directory."""
    connection = shared_389.connection()
    yield connection
    connection.unbind()


@pytest.fixture
def folder(make_folder: MakeFolder, shared_389: NsSlapd) -> SyncedFolder:
    """Make an empty folder for the people of the server."""
    return make_folder(shared_389)


def ids(admin: ldap3.Connection, server: NsSlapd) -> dict[str, str]:
    """The nsUniqueId of each person by DN, as the server returns it."""
    admin.search(server.suffix, PEOPLE_FILTER, attributes=["nsUniqueId"])
    return {entry["dn"]: entry["attributes"]["nsUniqueId"][0] for entry in admin.response}


def keys(folder: SyncedFolder) -> dict[str, str]:
    """The identity of each contact by DN."""
    return {dn: key for dn, key, _ in folder.contacts()}


def numbers(folder: SyncedFolder) -> dict[str, int]:
    """The id of each contact by its identity."""
    rows = folder.query(
        "SELECT source_key, contact_id FROM contactsync.contacts WHERE definition_id = %s", folder.definition_id
    )
    return {row["source_key"]: row["contact_id"] for row in rows}


def as_user(folder: SyncedFolder, dn: str, password: str) -> None:
    """Read as another user."""
    folder.edit(bind_user=dn)
    folder.set_password(password)


def checked(folder: SyncedFolder, password: str) -> dict[str, StepResult]:
    """The steps of a check by their names."""
    limits = CheckLimits(step_seconds=20)
    return {step.name: step for step in check(folder.definition, lambda: password, BRISK, limits=limits)}


def test_the_identity_is_ns_unique_id(folder: SyncedFolder, shared_389: NsSlapd, admin: ldap3.Connection) -> None:
    """Entries imported offline have no entryUUID; later entries have one, which changes nothing."""
    newcomer = f"uid=newcomer,{shared_389.people_base}"
    admin.add(newcomer, "inetOrgPerson", {"cn": "New Comer", "sn": "Comer"})
    admin.search(newcomer, "(objectClass=*)", ldap3.BASE, attributes=["entryUUID", "nsUniqueId"])
    assert admin.response[0]["attributes"]["entryUUID"]
    try:
        report = folder.run()
        assert (report.outcome, report.counts.inserted, report.counts.rejected) == (Outcome.CHANGED, PEOPLE + 1, 0)
        assert keys(folder) == ids(admin, shared_389)
        assert all(map(NS_UNIQUE_ID.fullmatch, keys(folder).values()))
        assert folder.run().outcome is Outcome.UNCHANGED
    finally:
        admin.delete(newcomer)


def test_a_rename_and_a_move_keep_the_contact(
    folder: SyncedFolder, shared_389: NsSlapd, admin: ldap3.Connection
) -> None:
    """A new RDN, a new parent, and back: the contacts keep their ids."""
    folder.run()
    before, contacts = keys(folder), numbers(folder)
    old = next(dn for dn in before if dn.endswith(f",ou=Personal,{shared_389.people_base}"))
    rdn, parent = old.split(",", 1)
    admin.modify_dn(old, "uid=renamed", delete_old_dn=True)
    try:
        report = folder.run()
        assert (report.counts.updated, report.counts.inserted, report.counts.deleted) == (1, 0, 0)
        admin.modify_dn(f"uid=renamed,{parent}", "uid=renamed", new_superior=shared_389.people_base)
        report = folder.run()
        assert (report.counts.updated, report.counts.inserted, report.counts.deleted) == (1, 0, 0)
        assert keys(folder)[f"uid=renamed,{shared_389.people_base}"] == before[old]
        assert numbers(folder) == contacts
    finally:
        admin.modify_dn(f"uid=renamed,{shared_389.people_base}", rdn, new_superior=parent)
    folder.run()
    assert (keys(folder), numbers(folder)) == (before, contacts)


def test_a_user_without_an_access_rule_empties_no_folder(folder: SyncedFolder, shared_389: NsSlapd) -> None:
    """The server returns success without entries, as for an empty directory: the run is held."""
    folder.run()
    as_user(folder, shared_389.nobody_dn, shared_389.nobody_password)
    report = folder.run()
    folder.expect_held(report)
    assert len(folder.contacts()) == PEOPLE
    steps = checked(folder, shared_389.nobody_password)
    assert steps["bind"].status is Status.OK
    assert steps["filter"].status is Status.WARNING
    assert "this user's read access" in steps["filter"].hint


@pytest.mark.parametrize("page_size", [0, 1000])
def test_a_size_limit_is_an_incomplete_snapshot(folder: SyncedFolder, shared_389: NsSlapd, page_size: int) -> None:
    """The account's own limit, with pages and without; the twenty entries that come are not used."""
    folder.run()
    as_user(folder, shared_389.limited_dn, shared_389.limited_password)
    report = folder.run(page_size=page_size)
    assert (report.outcome, report.error_code) == (Outcome.FAILED, "directory.incomplete")
    assert "sizeLimitExceeded (4)" in (report.error or "")
    assert len(folder.contacts()) == PEOPLE
    assert checked(folder, shared_389.limited_password)["paging"].status is Status.FAILED


def test_a_look_through_limit_is_an_incomplete_snapshot(
    folder: SyncedFolder, shared_389: NsSlapd, admin: ldap3.Connection
) -> None:
    """The server returns adminLimitExceeded, and the folder is unchanged."""
    folder.run()
    limits = ("nsLookThroughLimit", "nsPagedLookThroughLimit")
    admin.modify(shared_389.reader_dn, {name: [(ldap3.MODIFY_REPLACE, [LIMIT])] for name in limits})
    try:
        report = folder.run()
    finally:
        admin.modify(shared_389.reader_dn, {name: [(ldap3.MODIFY_REPLACE, [-1])] for name in limits})
    assert (report.outcome, report.error_code) == (Outcome.FAILED, "directory.incomplete")
    assert "adminLimitExceeded (11)" in (report.error or "")
    assert len(folder.contacts()) == PEOPLE
    assert folder.run().outcome is Outcome.UNCHANGED


def test_pages_below_the_limit_bring_all_people(folder: SyncedFolder, shared_389: NsSlapd) -> None:
    """This server applies its size limit to each page, not to the search."""
    as_user(folder, shared_389.limited_dn, shared_389.limited_password)
    report = folder.run(page_size=7)
    assert (report.counts.entries, report.counts.inserted, report.error) == (PEOPLE, PEOPLE, None)


@pytest.mark.parametrize("ldaps", [False, True])
def test_its_tls_is_checked(make_folder: MakeFolder, shared_389: NsSlapd, *, ldaps: bool) -> None:
    """With LDAPS and StartTLS, against its authority; otherwise no password is sent."""
    port = shared_389.tls_port if ldaps else shared_389.port
    folder = make_folder(shared_389, query=f"ldap{'s' * ldaps}://localhost:{port}/{shared_389.suffix}")
    report = folder.run()
    assert (report.outcome, report.error) == (Outcome.CHANGED, None)
    assert report.certificates.server_expires_at
    folder.edit(tls_ca_file=None)
    folder.expect_failure(folder.run(), "directory.certificate", "issuer that is not trusted")


def test_a_wrong_password_locks_the_definition(folder: SyncedFolder) -> None:
    """As with any other server."""
    folder.set_password("not the reader's")
    folder.expect_failure(folder.run(), "directory.credentials", folder.slapd.reader_dn)
    assert folder.status()["state"] == "locked"


def test_a_check_names_the_server_and_the_identity(folder: SyncedFolder, shared_389: NsSlapd) -> None:
    """From its root DSE and its entries."""
    steps = checked(folder, shared_389.reader_password)
    failed = {name: step.text for name, step in steps.items() if step.status is Status.FAILED}
    assert not failed
    assert "389" in steps["root_dse"].text
    assert "paging (RFC 2696)" in steps["root_dse"].data["controls"]
    assert steps["base"].data["base"] == shared_389.suffix
    assert steps["identity"].data["identity"] == ["nsUniqueId"]
    assert steps["bind"].data["authorisation_id"] == shared_389.reader_dn


def test_the_dn_is_an_identity_only_if_the_mapping_says_so(
    make_folder: MakeFolder, shared_389: NsSlapd, admin: ldap3.Connection
) -> None:
    """A renamed person is then recognised by the address and the name only; the check warns before."""
    mapping: dict[str, Any] = {"identity": "dn"}
    folder = make_folder(shared_389, mapping=mapping)
    folder.run()
    identity = checked(folder, shared_389.reader_password)["identity"]
    assert identity.status is Status.WARNING
    assert "renamed or moved" in identity.text
    before = numbers(folder)
    old = next(iter(sorted(before)))
    admin.search(shared_389.suffix, PEOPLE_FILTER)
    dn = next(entry["dn"] for entry in admin.response if entry["dn"].lower() == old.lower())
    rdn, parent = dn.split(",", 1)
    admin.modify_dn(dn, "uid=renamed")
    try:
        report = folder.run()
        assert (report.counts.rekeyed, report.counts.inserted, report.counts.deleted) == (1, 0, 0)
    finally:
        admin.modify_dn(f"uid=renamed,{parent}", rdn)


def test_preserved_and_staged_people_of_freeipa_are_excluded(
    make_folder: MakeFolder, shared_389: NsSlapd, admin: ldap3.Connection
) -> None:
    """A person who leaves is moved below cn=provisioning and leaves the folder; a mapping may include them."""
    provisioning = f"cn=provisioning,{shared_389.suffix}"
    accounts = f"cn=accounts,{provisioning}"
    subtree = [provisioning, accounts, *(f"cn={name} users,{accounts}" for name in ("deleted", "staged"))]
    for container in subtree:
        admin.add(container, "nsContainer")
    folder = make_folder(shared_389)
    folder.run()
    leaver = next(dn for dn in keys(folder) if dn.endswith(f",{shared_389.people_base}"))
    rdn, parent = leaver.split(",", 1)
    staged = f"uid=staged,{subtree[3]}"
    try:
        admin.add(staged, "inetOrgPerson", {"cn": "Not Yet Hired", "sn": "Hired"})
        admin.modify_dn(leaver, rdn, new_superior=subtree[2])
        report = folder.run()
        assert (report.counts.inserted, report.counts.updated, report.counts.deleted) == (0, 0, 1)
        assert any('"provisioning.excluded"' in line and '"entries": 2' in line for line in folder.log)
        step = checked(folder, shared_389.reader_password)["filter"]
        assert (step.status, step.data["excluded"]) == (Status.OK, 2)
        assert "2 of them, preserved or staged people, are excluded" in step.text
        definition, runner = folder.definition, folder.runner()
        with folder.connection() as connection:
            look = partial(look_up, definition, staged, lambda: runner.passwords.read(definition), runner.options)
            found = explain(connection, definition, staged, look)
        assert (found.verdict, subtree[1] in found.reasons[0].text) == (Verdict.EXCLUDED, True)
        folder.edit(mapping={"include": {"preserved": True}})
        assert folder.run().counts.inserted == 2
        folder.edit(mapping=None)
        assert folder.run().counts.deleted == 2
        inside = make_folder(shared_389, base=subtree[3])
        inside.run()
        assert list(keys(inside)) == [staged]
    finally:
        admin.modify_dn(f"{rdn},{subtree[2]}", rdn, new_superior=parent)
        for dn in (staged, *reversed(subtree)):
            admin.delete(dn)


def test_a_refused_filter_names_whose_it_is(
    make_folder: MakeFolder, shared_389: NsSlapd, admin: ldap3.Connection
) -> None:
    """A server that refuses filters with unknown attributes: the run and the check give the same hint."""
    folder = make_folder(shared_389, filter="(noSuchAttribute=x)")
    option = "nsslapd-verify-filter-schema"
    admin.modify("cn=config", {option: [(ldap3.MODIFY_REPLACE, ["reject-invalid"])]})
    try:
        for filter_only, hint in ((False, "if the server does not support the former"), (True, "Check the filter.")):
            folder.edit(filter_only=filter_only)
            report = folder.run()
            folder.expect_failure(report, "directory.filter", "refused the filter", "unwillingToPerform (53)", hint)
            step = checked(folder, shared_389.reader_password)["filter"]
            assert step.status is Status.FAILED
            assert hint in step.hint
    finally:
        admin.modify("cn=config", {option: [(ldap3.MODIFY_REPLACE, ["process-safe"])]})
