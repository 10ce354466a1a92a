"""Active Directory's filter by the switches of a mapping, and by the attributes that the server knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contactsync.errors import AccessRefused, MappingError
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.rootdse import RootDse
from contactsync.ldap.schema import Schema
from contactsync.mapping.mapping import compile_mapping
from contactsync.model import Definition
from contactsync.settings.schema import MappingLimits
from contactsync.sync.definition import Source, choose_source, resolve, source_digest

ACTIVE_DIRECTORY = frozenset({"1.2.840.113556.1.4.800"})
CONTROL, HIDDEN = "useraccountcontrol", "msexchhidefromaddresslists"
EXCHANGE = Schema(frozenset({CONTROL, HIDDEN}))
EVERYTHING = Schema(
    frozenset({CONTROL, HIDDEN, "cn", "iscriticalsystemobject", "showinadvancedviewonly", "serviceprincipalname"})
)


def definition(**fields: Any) -> Definition:
    """A definition for a domain controller."""
    return Definition(folder_id=1, definition_id=1, folder="Staff", query="ldaps://dc1.example.test", **fields)


def source(
    schema: Schema | None = EXCHANGE, *, capabilities: frozenset[str] = ACTIVE_DIRECTORY, **fields: Any
) -> Source:
    """The search of a run at a server with this schema."""
    root_dse = RootDse(
        default_naming_context="DC=example",
        schema_naming_context="CN=Schema,CN=Configuration,DC=example",
        supported_capabilities=capabilities,
        schema=schema,
    )
    return choose_source(resolve(definition(**fields)), root_dse, MappingLimits())


def digest(schema: Schema, **fields: Any) -> bytes:
    """The digest of that search."""
    return source_digest(resolve(definition(**fields)), source(schema, **fields))


@pytest.mark.parametrize(
    ("schema", "used", "unused"),
    [
        (EXCHANGE, [CONTROL, HIDDEN], []),
        (Schema(frozenset({CONTROL})), [CONTROL], [HIDDEN]),
        (Schema(frozenset()), [], [CONTROL, HIDDEN]),
        (Schema(frozenset({CONTROL, HIDDEN}), frozenset({CONTROL})), [CONTROL], [HIDDEN]),
        (Schema(frozenset({CONTROL, HIDDEN}), frozenset({CONTROL, HIDDEN})), [CONTROL, HIDDEN], []),
    ],
)
def test_the_filter_excludes_by_known_attributes_only(schema: Schema, used: list[str], unused: list[str]) -> None:
    """An attribute that the server or the global catalogue does not have would make the filter find nothing."""
    text = check_filter(source(schema).filter).lower()
    assert [name for name in (*used, *unused) if name in text] == used
    assert "(objectcategory=person)" in text


def test_an_unreadable_schema_is_an_error_where_it_matters() -> None:
    """A guess would include hidden people or exclude everyone; including the hidden, or a filter, needs no schema."""
    with pytest.raises(AccessRefused) as caught:
        source(None)
    assert "schema" in caught.value.message
    assert '"hidden": true' in caught.value.hint
    assert HIDDEN not in source(None, mapping={"include": {"hidden": True}}).filter.lower()
    assert source(None, filter="(mail=*)", filter_only=True).filter == "(mail=*)"


def test_a_proxy_before_a_domain_has_no_schema() -> None:
    """The definition chooses the preset there, and the filter has no attribute of Exchange."""
    text = source(None, capabilities=frozenset(), mapping={"preset": "activeDirectory"}).filter.lower()
    assert CONTROL in text
    assert HIDDEN not in text


def test_the_digest_follows_the_switches_and_not_the_schema() -> None:
    """The guard treats an edited switch as an edit, but not a new attribute in the schema."""
    assert digest(EXCHANGE) == digest(Schema(frozenset({CONTROL})))
    digests = {digest(EXCHANGE, mapping={"include": {name: value}}) for name, value in SWITCHED.items()}
    assert len(digests | {digest(EXCHANGE)}) == len(SWITCHED) + 1
    assert digest(EXCHANGE, mapping={"include": {"people": True}}) == digest(EXCHANGE)


SWITCHED = {
    "people": False,
    "contacts": False,
    "groups": True,
    "computers": True,
    "rooms": True,
    "shared": True,
    "disabled": True,
    "hidden": True,
    "system": True,
}


def test_other_servers_ignore_the_switches() -> None:
    """Their filter stays the same."""
    mapping = {"include": {"computers": True}}
    plain, switched = (source(None, capabilities=frozenset(), mapping=each) for each in (None, mapping))
    assert plain.filter == switched.filter


@pytest.mark.parametrize("fields", [{"filter": "(mail=*)"}, {"query": "ldap://dc1/dc=example???(mail=*)"}])
def test_a_filter_narrows_the_mappings(fields: dict[str, Any]) -> None:
    """Wherever it is written, and with the switches of the mapping; alone it excludes them."""
    usual: dict[str, Any] = {"query": "ldaps://dc1", "mapping": {"include": {"disabled": True}}}
    own = Definition(folder_id=1, definition_id=1, folder="Staff", **(usual | fields))
    whole = replace(own, query="ldaps://dc1", filter=None)
    at = RootDse(default_naming_context="DC=example")
    found = choose_source(resolve(own), at, MappingLimits()).filter
    assert found == f"{choose_source(resolve(whole), at, MappingLimits()).filter[:-1]}(mail=*))"
    with pytest.raises(MappingError) as caught:
        resolve(replace(own, filter_only=True))
    assert "filter_only" in caught.value.message
    alone = replace(own, filter_only=True, mapping=None)
    assert choose_source(resolve(alone), at, MappingLimits()).filter == "(mail=*)"


def test_the_attributes_that_a_catalogue_lacks() -> None:
    """Options make no difference; a domain lacks nothing."""
    mapping = {"preset": "none", "fields": {"title": "title", "notes": "cn;lang-de", "emails": "mail"}}
    catalogue = Schema(frozenset({CONTROL, HIDDEN}), frozenset({"cn", "mail", "objectguid"}))
    assert source(catalogue, mapping=mapping).lacking == ("title",)
    assert source(EXCHANGE, mapping=mapping).lacking == ()


def test_the_text_of_a_filter_has_all_exclusions() -> None:
    """It is in the documentation and in the digest."""
    mapping = compile_mapping(None, active_directory=True, limits=MappingLimits())
    assert str(mapping.filter) == source(EVERYTHING).filter


@pytest.mark.parametrize("include", [{}, *({name: value} for name, value in SWITCHED.items())])
def test_every_filter_is_valid(include: dict[str, bool]) -> None:
    """Whatever is switched on."""
    assert check_filter(source(EVERYTHING, mapping={"include": include}).filter)
