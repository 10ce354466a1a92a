"""Checks of definitions for a real domain controller, and browsing it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contactsync.checks.browser import browse
from contactsync.checks.check import check
from contactsync.checks.result import Status, StepResult
from contactsync.model import Definition, Tls
from tests.support.folder import BRISK
from tests.support.samba import DOMAIN, SUFFIX, PrivateSamba
from tests.support.waiting import wait_until
from tests.support.web import web_console
from tests.support.web_door import web_door


def definition(server: PrivateSamba, **fields: Any) -> Definition:
    """All people over LDAPS, as the reader."""
    usual: dict[str, Any] = {"query": server.tls_url, "user": rf"{DOMAIN}\{server.reader_name}"}
    usual["tls_ca_file"] = str(server.ca_file)
    return Definition(folder_id=0, definition_id=0, folder="Staff", **(usual | fields))


def results(server: PrivateSamba, **fields: Any) -> dict[str, StepResult]:
    """The result of each step."""
    wanted = definition(server, **fields)
    password = server.reader_password if wanted.user else None
    return {result.name: result for result in check(wanted, lambda: password, BRISK)}


def statuses(found: dict[str, StepResult], status: Status) -> set[str]:
    """The names of the steps with this status."""
    return {name for name, result in found.items() if result.status is status}


def test_a_definition_for_a_domain_works_without_any_settings(samba: PrivateSamba) -> None:
    """Only deleted objects are hidden from the reader; references are counted."""
    unit = samba.unit("Checked")
    samba.add("Berger\\, Anna", under=unit, displayName="Anna Berger", mail="anna@example.test")
    found = results(samba)
    assert statuses(found, Status.WARNING) == {"deleted_objects"}
    assert statuses(found, Status.FAILED) == statuses(found, Status.SKIPPED) == set()
    assert "Active Directory" in found["root_dse"].text
    assert found["base"].text.startswith(f"{SUFFIX} (the server's default)")
    assert "reference" in found["filter"].text
    assert found["identity"].data["identity"] == ["objectGUID"]
    within = results(samba, query=f"{samba.tls_url}/{unit}")
    assert [each["name"] for each in within["sample"].data["contacts"]] == ["Anna Berger"]


@pytest.mark.parametrize("tls", [Tls.AUTO, Tls.LDAPS])
def test_a_global_catalogue_is_a_warning_with_what_it_lacks(samba: PrivateSamba, tls: Tls) -> None:
    """It names the attributes of the mapping; a run would work."""
    unit = samba.unit(f"Catalogue {tls}")
    samba.add(f"Anna {tls}", under=unit)
    port = 3269 if tls is Tls.LDAPS else 3268
    found = results(samba, query=f"GC://{samba.address}:{port}/{unit}", tls=tls)
    assert statuses(found, Status.WARNING) == {"base", "deleted_objects"}
    assert "global catalogue" in found["root_dse"].text
    assert "lacks" in found["base"].text
    lacking = found["base"].data["lacking"]
    assert "proxyAddresses" in lacking
    assert "telephoneNumber" not in lacking
    assert all(name in found["base"].details[0] for name in lacking)
    assert "stay blank" in found["base"].hint


def test_a_plain_connection_is_refused(samba: PrivateSamba) -> None:
    """The hint names the setting; the step before warns."""
    found = results(samba, query=samba.url, tls=Tls.NONE)
    assert found["tls"].status is Status.WARNING
    assert found["bind"].status is Status.FAILED
    assert "strongerAuthRequired" in found["bind"].text
    assert "Set tls to `starttls` or `ldaps`" in found["bind"].hint


def test_an_anonymous_user_fails_at_the_base(samba: PrivateSamba) -> None:
    """Active Directory accepts the bind and shows nothing, not even its schema."""
    found = results(samba, user=None)
    assert found["bind"].status is Status.OK
    assert found["base"].status is Status.FAILED
    assert "schema" in found["base"].text
    assert "Use a user" in found["base"].hint


def test_browsing_shows_as_contacts_only_what_a_run_would_read(exchange: PrivateSamba) -> None:
    """Not computers and hidden people, unless the mapping includes them."""
    unit = exchange.unit("Browsed")
    exchange.add("Anna", under=unit, mail="anna@example.test")
    exchange.add("Pc", under=unit, kind="computer")
    exchange.add("Shy", under=unit, msExchHideFromAddressLists="TRUE")
    wanted = definition(exchange)
    top = browse(wanted, lambda: exchange.reader_password, BRISK, base=None, limit=100)
    assert (f"OU=Browsed,{SUFFIX}", 3) in [(node.dn, node.below) for node in top.levels[0].nodes]
    assert f"CN=Schema,CN=Configuration,{SUFFIX}" in top.others
    level = browse(wanted, lambda: exchange.reader_password, BRISK, base=unit, limit=100).levels[0]
    found = {node.rdn: (node.object_class, node.contact) for node in level.nodes}
    assert found == {
        "CN=Anna": ("user", "Anna <anna@example.test>"),
        "CN=Pc": ("computer", None),
        "CN=Shy": ("user", None),
    }
    everybody = replace(wanted, mapping={"include": {"hidden": True, "computers": True}})
    level = browse(everybody, lambda: exchange.reader_password, BRISK, base=unit, limit=100).levels[0]
    assert all(node.contact for node in level.nodes)


def test_the_console_browses_a_domain_and_shows_its_people_as_mapped(
    samba: PrivateSamba, database: str, short_path: Path
) -> None:
    """A unit is found, taken as base, and its people follow the mapping that is typed."""
    unit = samba.unit("At the console")
    samba.add(
        "Anna",
        under=unit,
        displayName="Anna Berger",
        mail="anna@example.test",
        title="Engineer",
        physicalDeliveryOfficeName="Berlin",
    )
    samba.add("Hall", under=unit, kind="computer")
    with web_door(database, short_path) as door, web_console(door, short_path / "web") as console:
        client = console.administrator()
        form = {
            "query": samba.tls_url,
            "user": rf"{DOMAIN}\{samba.reader_name}",
            "password": samba.reader_password,
            "tls_verify": "false",
        }
        level = client.post("/folders/new", data=form | {"do": "browse"})
        assert level.status_code == 200, level.text
        assert f'name="to" value="{unit}"' in level.text
        below = client.post("/folders/new", data=form | {"to": unit}).text
        assert "Anna Berger &lt;anna@example.test&gt;" in below
        assert below.count("<bdi>CN=Hall</bdi>") == 1
        taken = client.post("/folders/new", data=form | {"take": unit}).text
        assert f'name="base" value="{unit}"' in taken
        added = client.post("/folders/new", data=form | {"base": unit, "folder": "Domain", "do": "add"})
        assert added.status_code == 303, added.text
        definition_id = int(added.headers["location"].split("/")[2])
        mapped = {"field.nickname.sources": "{title} in {physicalDeliveryOfficeName}", "do": "sample"}
        sample = client.post(f"/folders/{definition_id}/mapping", data=mapped)
        assert "<bdi>Engineer in Berlin</bdi>" in sample.text, sample.text
        assert "Hall" not in sample.text
        wait_until(lambda: "Anna Berger" in client.get(f"/folders/{definition_id}").text, door.local.daemon.text)
