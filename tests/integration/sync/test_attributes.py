"""Attributes that OpenLDAP does not have are not requested; attributes that only seem to be unknown are."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest
from contactsync.mapping.presets import INET_ORG_PERSON
from contactsync.model import Outcome
from contactsync.sync.attributes import existing_attributes
from contactsync.testing.people import people_ldif
from contactsync.testing.private_server import PrivateServer
from contactsync.testing.slapd import PrivateSlapd
from tests.support import ns_slapd
from tests.support.folder import PEOPLE_FILTER, SyncedFolder, people
from tests.support.sessions import options_of, session_with

PEOPLE = 25
"""More than half a page: the search goes in pages."""

_NS_UNIQUE_ID = """\
attributetype ( 2.16.840.1.113730.3.1.542 NAME 'nsUniqueId' EQUALITY caseIgnoreMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.4203.666.1.1 NAME 'fromElsewhere' AUXILIARY MAY nsUniqueId )
"""

MakeFolder = Callable[..., SyncedFolder]


class Learned(PrivateSlapd):
    """A slapd whose schema has nsUniqueId, as after a migration from 389 Directory Server."""

    def _config(self) -> str:
        return super()._config().replace("pidfile", f"{_NS_UNIQUE_ID}pidfile", 1)


class Proxy(PrivateSlapd):
    """A slapd without entries of its own, which forwards to another server (slapd-ldap(5))."""

    def __init__(self, directory: Path, *, behind: PrivateServer, **options: Any) -> None:
        super().__init__(directory, **options)
        self._behind = behind

    def fill(self) -> None:
        """See PrivateServer."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "slapd.conf").write_text(self._config(), encoding="utf-8")

    def _config(self) -> str:
        before, _, _ = super()._config().partition("database mdb")
        before = before.replace("back_mdb", "back_ldap")
        admin = f'rootdn "{self.admin_dn}"\nrootpw {self.admin_password}\n'
        where = f'uri "ldap://127.0.0.1:{self._behind.port}"\naccess to * by users read\n'
        return f'{before}database ldap\nsuffix "{self.suffix}"\n{admin}{where}'


def requested_attributes(folder: SyncedFolder) -> set[str]:
    """The attributes of a run's search in pages, from the command line that it logs."""
    before = len(folder.log)
    assert folder.run().outcome is Outcome.CHANGED
    commands = [json.loads(line).get("command", "") for line in folder.log[before:]]
    (paged,) = [command for command in commands if "-E pr=" in command]
    return set(shlex.split(paged.partition("noprompt")[2])[1:])


def test_openldap_is_asked_for_the_identity_that_it_has(
    make_folder: MakeFolder, make_slapd: Callable[..., PrivateSlapd]
) -> None:
    """It is not asked for identities of other products. All other attributes are requested."""
    slapd = make_slapd(ldif=people_ldif(PEOPLE))
    folder = make_folder(slapd)
    asked = requested_attributes(folder)
    assert not {"nsUniqueId", "ipaUniqueID", "GUID"} & asked
    assert {"entryUUID", "cn", "telephoneNumber", "jpegPhoto"} <= asked
    assert folder.contacts() == people(slapd)


def test_a_server_that_hides_its_schema_is_asked_for_all(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """If there is a problem, the search itself reports it."""
    slapd = make_slapd(ldif=people_ldif(PEOPLE))
    identity = INET_ORG_PERSON.identity
    with session_with(options_of(slapd)) as session:
        request = SearchRequest(slapd.people_base, Scope.SUB, PEOPLE_FILTER, identity, 0)
        assert existing_attributes(session, request, identity) == ("entryUUID",)
        request = replace(request, base="no name of an entry")
        assert existing_attributes(session, request, identity) == identity


def test_the_identity_of_a_mapping_is_requested(
    make_folder: MakeFolder, make_slapd: Callable[..., PrivateSlapd]
) -> None:
    """Whatever the server knows about it."""
    slapd = make_slapd(ldif=people_ldif(PEOPLE))
    folder = make_folder(slapd, mapping=Jsonb({"identity": ["ipaUniqueID", "entryUUID"]}))
    assert "ipaUniqueID" in requested_attributes(folder)


def test_an_identity_in_the_schema_is_requested(make_folder: MakeFolder, tmp_path: Path) -> None:
    """It precedes entryUUID, so contacts that have it keep their identity."""
    brought = people_ldif(PEOPLE).replace(
        "objectClass: inetOrgPerson\n",
        "objectClass: inetOrgPerson\nobjectClass: fromElsewhere\nnsUniqueId: 1a2b3c4d-1a2b3c4d-1a2b3c4d-1a2b3c4d\n",
        1,
    )
    with Learned(tmp_path / "slapd", ldif=brought) as slapd:
        folder = make_folder(slapd)
        asked = requested_attributes(folder)
        assert "nsUniqueId" in asked
        assert "ipaUniqueID" not in asked
        keys = {key for _, key, _ in folder.contacts()}
        assert "1a2b3c4d-1a2b3c4d-1a2b3c4d-1a2b3c4d" in keys
        assert len(keys) == PEOPLE


@pytest.mark.skipif(bool(ns_slapd.why_not()), reason=ns_slapd.why_not())
def test_a_proxy_before_another_product_is_asked_for_all(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Its schema has no nsUniqueId, but it passes on the values."""
    with ns_slapd.running(PEOPLE) as server, Proxy(tmp_path / "slapd", suffix=server.suffix, behind=server) as proxy:
        folder = make_folder(server)
        folder.edit(query=f"ldap://127.0.0.1:{proxy.port}/{server.suffix}", tls_ca_file=str(proxy.ca_file))
        report = folder.run()
        assert report.outcome is Outcome.CHANGED, report.error
        admin = server.connection()
        admin.search(server.suffix, PEOPLE_FILTER, attributes=["nsUniqueId"])
        wanted = {entry["attributes"]["nsUniqueId"][0] for entry in admin.response}
        admin.unbind()
        assert {key for _, key, _ in folder.contacts()} == wanted
        assert len(wanted) == PEOPLE
