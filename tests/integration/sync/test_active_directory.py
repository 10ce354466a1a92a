"""Whole runs against a real domain controller: authentication, selected entries, and stable identities."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from contactsync.model import Outcome
from tests.support.folder import SyncedFolder
from tests.support.samba import DISABLED, DOMAIN, SUFFIX, PrivateSamba

Folders = Callable[..., SyncedFolder]
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
_units = count(1)


@pytest.fixture
def unit(samba: PrivateSamba) -> str:
    """Make an organizational unit for one test."""
    return samba.unit(f"Unit {next(_units)}")


@pytest.fixture
def folder_of(make_folder: Folders) -> Folders:
    """Make folders for a base, `folder_of(samba, base, tls=...)`, by default with LDAPS."""

    def make(server: PrivateSamba, base: str, **columns: Any) -> SyncedFolder:
        usual = {"query": f"{server.tls_url}/{base}", "bind_user": server.reader_user}
        return make_folder(server, **(usual | columns))

    return make


def contacts(folder: SyncedFolder) -> dict[str, dict[str, Any]]:
    """The definition's contacts by their display names."""
    rows = folder.query("SELECT * FROM contactsync.contacts WHERE definition_id = %s", folder.definition_id)
    return {row["display_name"]: row for row in rows}


def expect_run(folder: SyncedFolder, *names: str) -> None:
    """A run changes the folder, which then has these contacts; another run finds no changes."""
    report = folder.run()
    assert report.outcome is Outcome.CHANGED, report.error or report.held_reason
    assert set(contacts(folder)) == set(names)
    again = folder.run()
    assert (again.outcome, again.counts.unchanged) == (Outcome.UNCHANGED, len(names))


@pytest.mark.parametrize("protected", ["ldaps", "starttls"])
@pytest.mark.parametrize("form", ["DOMAIN\\user", "user@domain", "DN"])
def test_every_form_of_user_is_accepted(
    samba: PrivateSamba, unit: str, folder_of: Folders, form: str, protected: str
) -> None:
    """With LDAPS and with StartTLS."""
    samba.add(f"{form[:4]} {protected}".replace("\\", " "), under=unit)
    user = {"DOMAIN\\user": f"{DOMAIN}\\{samba.reader_name}", "user@domain": samba.reader_user, "DN": samba.reader_dn}
    url = samba.tls_url if protected == "ldaps" else samba.url
    folder = folder_of(samba, unit, query=f"{url}/{unit}", bind_user=user[form])
    report = folder.run()
    assert (report.outcome, report.counts.inserted) == (Outcome.CHANGED, 1), report.error
    assert (report.server or "").startswith("ldaps:" if protected == "ldaps" else "ldap:")


def test_a_password_in_plain_text_is_refused_with_the_setting_to_change(
    samba: PrivateSamba, unit: str, folder_of: Folders
) -> None:
    """Samba refuses it, like an Active Directory that requires signing."""
    folder = folder_of(samba, unit, query=f"{samba.url}/{unit}", tls="none")
    folder.expect_failure(folder.run(), "directory.access", "`starttls`", "`ldaps`", "tls")


def test_a_wrong_password_differs_from_a_disabled_account(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """Active Directory's own number ends the error code."""
    folder = folder_of(samba, unit)
    folder.set_password("not the password")
    folder.expect_failure(folder.run(), "directory.credentials.52e", "the password is wrong")
    folder.set_password(samba.reader_password)
    samba.set(samba.reader_dn, userAccountControl=DISABLED)
    try:
        folder.expect_failure(folder.run(), "directory.credentials.533", "the account is disabled")
    finally:
        samba.set(samba.reader_dn, userAccountControl=DISABLED & ~2)


@pytest.fixture(scope="module")
def mixed(exchange: PrivateSamba) -> str:
    """Make a unit with one entry of each kind; returns its DN."""
    unit = exchange.unit("Mixed")
    exchange.add("Person", under=unit)
    exchange.add("Contact", under=unit, kind="contact")
    exchange.add("Computer", under=unit, kind="computer", sAMAccountName="COMPUTER$")
    exchange.add("Disabled", under=unit, userAccountControl=DISABLED | 0x20)
    exchange.add("Hidden", under=unit, msExchHideFromAddressLists="TRUE")
    exchange.add("Hidden Contact", under=unit, kind="contact", msExchHideFromAddressLists="TRUE")
    exchange.add("Shown", under=unit, msExchHideFromAddressLists="FALSE")
    exchange.add("Hidden View", under=unit, showInAdvancedViewOnly="TRUE")
    room: dict[str, Any] = {"userAccountControl": DISABLED | 0x20}
    exchange.add("Room", under=unit, msExchRecipientTypeDetails="16", **room)
    exchange.add("Shared Online", under=unit, msExchRecipientTypeDetails="34359738368", **room)
    exchange.add(r"Person\0ACNF:0f3b2a5c-1111-4222-8333-444455556666", under=unit)
    exchange.add("dns-dc1", under=unit, servicePrincipalName="DNS/dns.example.test")
    exchange.add("Registered", under=unit, servicePrincipalName="MSSQLSvc/a.example.test", mail="r@example.test")
    exchange.add("Group", under=unit, kind="group", sAMAccountName="Group")
    exchange.add("List", under=unit, kind="group", sAMAccountName="List", mail="list@example.test")
    return unit


USUAL = ["Person", "Contact", "Shown", "Registered"]


@pytest.mark.parametrize(
    ("include", "names"),
    [
        ({}, USUAL),
        ({"contacts": False}, ["Person", "Shown", "Registered"]),
        ({"people": False}, ["Contact"]),
        ({"groups": True}, [*USUAL, "List"]),
        ({"rooms": True}, [*USUAL, "Room"]),
        ({"shared": True}, [*USUAL, "Shared Online"]),
        ({"rooms": True, "people": False, "contacts": False}, ["Room"]),
        ({"system": True}, [*USUAL, "dns-dc1"]),
        ({"computers": True}, [*USUAL, "Computer"]),
        ({"computers": True, "people": False, "contacts": False}, ["Computer"]),
        ({"disabled": True}, [*USUAL, "Disabled", "Room", "Shared Online"]),
        ({"hidden": True}, [*USUAL, "Hidden", "Hidden Contact", "Hidden View"]),
    ],
    ids=str,
)
def test_each_kind_of_entry_can_be_switched(
    exchange: PrivateSamba, mixed: str, folder_of: Folders, include: dict[str, bool], names: list[str]
) -> None:
    """People and contacts are included by default; computers, disabled and hidden entries on request."""
    mapping = json.dumps({"include": include}) if include else None
    expect_run(folder_of(exchange, mixed, mapping=mapping), *names)


def test_the_accounts_of_the_domain_itself_are_no_people(samba: PrivateSamba, folder_of: Folders) -> None:
    """Administrator is a critical system object, as Guest and krbtgt are, which are disabled as well."""
    expect_run(folder_of(samba, f"CN=Users,{SUFFIX}"), "Reader")
    switched = folder_of(samba, f"CN=Users,{SUFFIX}", mapping=json.dumps({"include": {"system": True}}))
    expect_run(switched, "Reader", "Administrator", "dns-dc1")


def test_a_filter_narrows_the_address_list(exchange: PrivateSamba, mixed: str, folder_of: Folders) -> None:
    """It brings no disabled account and no group back, unless it is the only filter."""
    expect_run(folder_of(exchange, mixed, filter="(cn=*s*)"), "Person", "Shown", "Registered")
    alone = folder_of(exchange, mixed, filter="(|(mail=*)(cn=Disabled))", filter_only=True)
    expect_run(alone, "Registered", "List", "Disabled")


def test_a_forest_without_exchange_is_not_asked_for_its_attribute(
    samba: PrivateSamba, unit: str, folder_of: Folders
) -> None:
    """An unknown attribute in a `not` would make Microsoft's server find no entry."""
    samba.add("Anna", under=unit)
    folder = folder_of(samba, unit)
    expect_run(folder, "Anna")
    searched = [line for line in folder.log if "search.started" in line]
    assert searched
    assert "msExch" not in "".join(searched)


def test_a_hidden_person_leaves_and_returns_as_the_same_contact(exchange: PrivateSamba, folder_of: Folders) -> None:
    """A change of an attribute that is not mapped deletes a contact, and restores it with its id."""
    unit = exchange.unit("Hiding")
    dn = exchange.add("Shy", under=unit)
    exchange.add("Other", under=unit)
    folder = folder_of(exchange, unit)
    expect_run(folder, "Shy", "Other")
    before = contacts(folder)["Shy"]["contact_id"]
    exchange.set(dn, msExchHideFromAddressLists="TRUE")
    folder.edit(max_delete_share=1)
    expect_run(folder, "Other")
    exchange.set(dn, msExchHideFromAddressLists=[])
    expect_run(folder, "Shy", "Other")
    assert contacts(folder)["Shy"]["contact_id"] == before


def test_a_changed_switch_is_a_changed_query_for_the_guard(
    exchange: PrivateSamba, mixed: str, folder_of: Folders
) -> None:
    """The next run that would delete is held."""
    folder = folder_of(exchange, mixed)
    expect_run(folder, *USUAL)
    folder.edit(mapping=json.dumps({"include": {"contacts": False}}), max_delete_share=1)
    folder.expect_held(folder.run(), "edited")
    assert "Contact" in contacts(folder)


def test_values_go_into_the_fields_that_people_expect(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """The primary address first, each kind of phone, the manager's name, the photo, and objectGUID as the identity."""
    boss = samba.add("Berger, Anna".replace(",", "\\,"), under=unit, displayName="Anna Berger")
    dn = samba.add(
        "Max",
        under=unit,
        mail="max@example.test",
        proxyAddresses=["smtp:b@example.test", "X400:c=de;a= ;p=x", "SMTP:max@example.test", "smtp:a@example.test"],
        telephoneNumber="+49 1", otherTelephone=["+49 2"], mobile="+49 3", otherMobile=["+49 4"],
        homePhone="+49 5", otherHomePhone=["+49 6"], facsimileTelephoneNumber="+49 7",
        otherFacsimileTelephoneNumber=["+49 8"], pager="+49 9", otherPager=["+49 10"], ipPhone="11",
        otherIpPhone=["12"],
        manager=boss, assistant=boss, thumbnailPhoto=JPEG, company="Example", info="line 1\r\nline 2",
        wWWHomePage="https://example.test",
    )  # fmt: skip
    folder = folder_of(samba, unit)
    expect_run(folder, "Max", "Anna Berger")
    contact = contacts(folder)["Max"]
    expected = {
        "emails": ["max@example.test", "a@example.test", "b@example.test"],
        "work_phones": ["+49 1", "+49 2"],
        "mobile_phones": ["+49 3", "+49 4"],
        "home_phones": ["+49 5", "+49 6"],
        "fax_numbers": ["+49 7", "+49 8"],
        "pagers": ["+49 9", "+49 10"],
        "ip_phones": ["11", "12"],
        "manager": "Berger, Anna",
        "assistant": "Berger, Anna",
        "organization": "Example",
        "notes": "line 1\nline 2",
        "websites": ["https://example.test"],
        "source_dn": dn,
    }
    assert {name: contact[name] for name in expected} == expected
    with samba.changes() as connection:
        connection.search(dn, "(objectClass=*)", attributes=["objectGUID"])
        guid = connection.response[0]["raw_attributes"]["objectGUID"][0]
    assert contact["source_key"].replace("-", "") == (guid[3::-1] + guid[5:3:-1] + guid[7:5:-1] + guid[8:]).hex()
    photos = folder.query("SELECT photo FROM contactsync.contact_photos WHERE contact_id = %s", contact["contact_id"])
    assert [bytes(row["photo"]) for row in photos] == [JPEG]


def test_a_person_stays_the_same_contact(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """After a rename, a move, a move of the unit, and a restore."""
    here, there = samba.unit("Here", under=unit), samba.unit("There", under=unit)
    samba.add("Max", under=here, mail="max@example.test")
    samba.add("Other", under=here)
    folder = folder_of(samba, unit, max_delete_share=1)
    expect_run(folder, "Max", "Other")
    before = contacts(folder)["Max"]["contact_id"]

    def expect_same(name: str, dn: str) -> None:
        expect_run(folder, name, "Other")
        now = contacts(folder)[name]
        assert (now["contact_id"], now["source_dn"]) == (before, dn)

    samba.move(f"CN=Max,{here}", rdn="CN=Maximilian")
    expect_same("Maximilian", f"CN=Maximilian,{here}")
    samba.move(f"CN=Maximilian,{here}", under=there)
    expect_same("Maximilian", f"CN=Maximilian,{there}")
    samba.move(there, rdn="OU=Elsewhere")
    expect_same("Maximilian", f"CN=Maximilian,OU=Elsewhere,{unit}")
    samba.delete(f"CN=Maximilian,OU=Elsewhere,{unit}")
    expect_run(folder, "Other")
    samba.restore(f"CN=Maximilian,OU=Elsewhere,{unit}", mail="max@example.test")
    expect_same("Maximilian", f"CN=Maximilian,OU=Elsewhere,{unit}")


@pytest.fixture
def hosts() -> Iterator[set[str]]:
    """Collect all hosts that this process looks up or connects to."""
    found: set[str] = set()
    listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "socket.getaddrinfo":
            found.add(str(arguments[0]))
        elif listening and event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
            found.add(str(arguments[1][0]))

    sys.addaudithook(listen)  # it cannot be taken off again
    yield found
    listening = False


def test_references_are_counted_and_not_followed(samba: PrivateSamba, folder_of: Folders, hosts: set[str]) -> None:
    """A search from the top of the domain returns references to other naming contexts and hosts."""
    folder = folder_of(samba, SUFFIX)
    report = folder.run()
    assert report.outcome is Outcome.CHANGED
    assert report.counts.references >= 1
    folder.expect_row(report)
    assert hosts == {samba.address}


@pytest.mark.parametrize("port", [3268, 3269])
def test_a_global_catalogue_reports_the_attributes_that_it_lacks(
    samba: PrivateSamba, unit: str, folder_of: Folders, port: int
) -> None:
    """With StartTLS and with TLS."""
    samba.add("Anna", under=unit, mail="anna@example.test")
    scheme = "ldaps" if port == 3269 else "ldap"
    folder = folder_of(samba, unit, query=f"{scheme}://{samba.address}:{port}/{unit}")
    expect_run(folder, "Anna")
    (told, _again) = (json.loads(line) for line in folder.log if "catalogue.lacking" in line)
    lacking = told["attributes"]
    assert {"otherMobile", "thumbnailPhoto"} <= set(lacking)
    assert not {"mail", "displayName", "objectGUID"} & set(lacking)
    whole = folder_of(samba, unit)
    expect_run(whole, "Anna")
    assert not any("catalogue.lacking" in line for line in whole.log)


def test_identities_of_octets_are_shown_as_other_tools_show_them(
    samba: PrivateSamba, unit: str, folder_of: Folders
) -> None:
    """A GUID and a security identifier; an entry without the first attribute has the second one."""
    guid: dict[str, Any] = {"mS-DS-ConsistencyGuid": bytes(range(16))}
    samba.add("With Guid", under=unit, **guid)
    samba.add("Without Guid", under=unit)
    folder = folder_of(samba, unit, mapping={"identity": ["mS-DS-ConsistencyGuid", "objectSid"]})
    expect_run(folder, "With Guid", "Without Guid")
    found = {name: row["source_key"] for name, row in contacts(folder).items()}
    assert found["With Guid"] == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert re.fullmatch(r"S-1-5-21(-\d+){4}", found["Without Guid"])
