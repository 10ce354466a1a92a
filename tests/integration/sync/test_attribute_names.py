"""A mapping may name an attribute by any of its names or by its OID; the server answers with the first name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from contactsync.model import Outcome
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder

USUAL = {
    "given_name": "givenName",
    "family_name": "sn",
    "emails": "mail",
    "extra.cn": "cn",
    "title": "{givenName} {sn}",
    "street": "street",
}


@pytest.mark.parametrize(
    "fields",
    [
        {"given_name": "gn", "family_name": "surname", "emails": "rfc822Mailbox", "street": "streetAddress"},
        {
            "given_name": "2.5.4.42",
            "family_name": "2.5.4.4",
            "emails": ["0.9.2342.19200300.100.1.3"],
            "extra.cn": "2.5.4.3",
        },
        {
            "given_name": {"attribute": "GN"},
            "family_name": {"from": ["SurName"], "policy": "directory"},
            "extra.cn": "2.5.4.3",
        },
    ],
    ids=["names", "oids", "forms"],
)
def test_fields_are_filled_whatever_the_attributes_are_called(
    make_folder: Callable[..., SyncedFolder], make_slapd: Callable[..., PrivateSlapd], fields: dict[str, Any]
) -> None:
    """By a name in another case too; in a template and for a run that finds nothing changed."""
    slapd = make_slapd(ldif=people_ldif(8))
    columns = "SELECT source_dn, given_name, family_name, emails, extra, title, street FROM contactsync.contacts"
    rows = []
    for mapping in (USUAL, USUAL | fields | {"title": "{gn} {2.5.4.4}"}):
        folder = make_folder(slapd, mapping=Jsonb({"preset": "none", "fields": {"display_name": "cn"} | mapping}))
        assert folder.run().outcome is Outcome.CHANGED
        assert folder.run().outcome is Outcome.UNCHANGED
        rows.append(folder.query(f"{columns} WHERE definition_id = %s ORDER BY source_dn", folder.definition_id))
    assert rows[0] == rows[1]
    assert any(row["given_name"] for row in rows[1])
    assert any(row["street"] for row in rows[1])


def test_an_identity_by_another_name_identifies(
    make_folder: Callable[..., SyncedFolder], make_slapd: Callable[..., PrivateSlapd]
) -> None:
    """`userid` is `uid`."""
    folder = make_folder(make_slapd(ldif=people_ldif(4)), mapping=Jsonb({"identity": "userid"}))
    assert folder.run().counts.inserted == 4
