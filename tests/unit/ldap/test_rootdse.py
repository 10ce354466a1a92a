"""The root DSE: which product it is taken for."""

from __future__ import annotations

import pytest

from contactsync.ldap.rootdse import RootDse

CAPABILITY = frozenset({"1.2.840.113556.1.4.800"})


@pytest.mark.parametrize(
    ("root_dse", "product"),
    [
        (RootDse(supported_capabilities=CAPABILITY, schema_naming_context="CN=Schema"), "Active Directory"),
        (RootDse(supported_capabilities=CAPABILITY, vendor_name="A gateway"), "A gateway"),
        (RootDse(supported_capabilities=CAPABILITY, default_naming_context="DC=x"), None),
        (RootDse(object_classes=frozenset({"OpenLDAProotDSE"})), "OpenLDAP"),
    ],
    ids=["a domain controller", "a gateway", "a gateway with a default", "slapd"],
)
def test_the_capability_alone_makes_no_active_directory(root_dse: RootDse, product: str | None) -> None:
    """Gateways that stand in for many products list it; a domain controller also names the context of its schema."""
    assert root_dse.product == product
    assert root_dse.is_active_directory is (product == "Active Directory")
