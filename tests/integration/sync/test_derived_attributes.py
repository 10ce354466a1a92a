"""Attributes that change without a change of the entry: such a folder is not followed by increments alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ldap3
import pytest

from contactsync.checks.check import check
from contactsync.model import Mode
from contactsync.testing.people import make_people, people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder

PEOPLE = list(make_people(6))
MEMBER_OF_OID = "1.2.840.113556.1.2.102"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a directory with the overlay memberof and a group of the first three people."""
    path = tmp_path_factory.mktemp("memberof") / "slapd"
    with PrivateSlapd(path, session_log=100, overlays=["memberof"], ldif=people_ldif(len(PEOPLE))) as slapd:
        admin = slapd.connection()
        members = [person.dn for person in PEOPLE[:3]]
        admin.add(group(slapd), "groupOfNames", {"cn": "staff", "member": members})
        admin.unbind()
        yield slapd


@pytest.fixture
def admin(server: PrivateSlapd) -> Iterator[ldap3.Connection]:
    """Change the directory."""
    connection = server.connection()
    yield connection
    connection.unbind()


def group(server: PrivateSlapd) -> str:
    """The DN of the group."""
    return f"cn=staff,{server.suffix}"


@pytest.mark.parametrize("name", ["memberOf", "MEMBEROF", MEMBER_OF_OID])
def test_who_leaves_and_joins_a_group_is_found(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection, name: str
) -> None:
    """However the filter writes the attribute: slapd reports nothing, so that everything is read."""
    folder = make_folder(server, mode="incremental", filter=f"({name}={group(server)})", max_delete_share=1)
    assert folder.run().counts.inserted == 3
    admin.modify(group(server), {"member": [(ldap3.MODIFY_DELETE, [PEOPLE[0].dn]), (ldap3.MODIFY_ADD, [PEOPLE[4].dn])]})
    try:
        report = folder.run()
    finally:
        admin.modify(
            group(server), {"member": [(ldap3.MODIFY_ADD, [PEOPLE[0].dn]), (ldap3.MODIFY_DELETE, [PEOPLE[4].dn])]}
        )
    assert (report.counts.inserted, report.counts.deleted, report.mode) == (1, 1, Mode.FULL)
    assert report.full_reason is not None
    assert name in report.full_reason


@pytest.mark.parametrize("source", ["memberOf", MEMBER_OF_OID, "hasSubordinates"])
def test_a_mapping_that_uses_one_is_recognised_too(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, source: str
) -> None:
    """The filter finds the same people; their field would go out of date."""
    folder = make_folder(server, mode="incremental", mapping={"fields": {"extra.groups": source}})
    folder.run()
    report = folder.run()
    assert report.mode is Mode.FULL
    # The reason has the name that the server uses.
    assert (source if source.isalpha() else "memberOf") in (report.full_reason or "")


def test_attributes_that_are_written_with_the_entry_are_no_obstacle(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """An attribute that is unusual, and an operational one that moves with every change of the entry."""
    fields = {"extra.device": "deviceSerialNumber", "extra.changed": "modifyTimestamp", "extra.phone": "2.5.4.20"}
    folder = make_folder(server, mode="incremental", filter="(!(uidNumber=0))", mapping={"fields": fields})
    folder.run()
    assert folder.run().mode is Mode.INCREMENTAL


def test_check_says_so(make_folder: Callable[..., SyncedFolder], server: PrivateSlapd) -> None:
    """Before anybody waits for a change that no increment brings."""
    folder = make_folder(server, mode="live", filter=f"(memberOf={group(server)})")
    steps = {step.name: step for step in check(folder.definition, lambda: server.reader_password, BRISK)}
    assert "memberOf" in steps["changes"].text
