"""Which entries Active Directory's filter lets in, and what of it a server is asked that does not know everything."""

from __future__ import annotations

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


def definition(**fields: Any) -> Definition:
    """A definition for a domain controller."""
    return Definition(folder_id=1, definition_id=1, folder="Staff", query="ldaps://dc1.example.test", **fields)


def source(
    schema: Schema | None = EXCHANGE, *, capabilities: frozenset[str] = ACTIVE_DIRECTORY, **fields: Any
) -> Source:
    """What a run asks a server with that schema."""
    root_dse = RootDse(default_naming_context="DC=example", supported_capabilities=capabilities, schema=schema)
    return choose_source(resolve(definition(**fields)), root_dse, MappingLimits())


def digest(schema: Schema, **fields: Any) -> bytes:
    """What stands for that."""
    return source_digest(resolve(definition(**fields)), source(schema, **fields))


@pytest.mark.parametrize(
    ("schema", "asked", "not_asked"),
    [
        (EXCHANGE, [CONTROL, HIDDEN], []),
        (Schema(frozenset({CONTROL})), [CONTROL], [HIDDEN]),
        (Schema(frozenset()), [], [CONTROL, HIDDEN]),
        (Schema(frozenset({CONTROL, HIDDEN}), frozenset({CONTROL})), [CONTROL], [HIDDEN]),
        (Schema(frozenset({CONTROL, HIDDEN}), frozenset({CONTROL, HIDDEN})), [CONTROL, HIDDEN], []),
    ],
)
def test_only_what_the_schema_knows_is_denied(schema: Schema, asked: list[str], not_asked: list[str]) -> None:
    """An unknown attribute in a `not` would find nobody, and so would one that a global catalogue does not hold."""
    text = check_filter(source(schema).filter).lower()
    assert [name for name in (*asked, *not_asked) if name in text] == asked
    assert "(objectcategory=person)" in text


def test_a_hidden_schema_is_an_error_where_it_matters() -> None:
    """To guess would show the hidden, or nobody; who takes in the hidden, or has a filter, needs no schema."""
    with pytest.raises(AccessRefused) as caught:
        source(None)
    assert "schema" in caught.value.message
    assert '"hidden": true' in caught.value.hint
    assert HIDDEN not in source(None, mapping={"include": {"hidden": True}}).filter.lower()
    assert source(None, filter="(mail=*)").filter == "(mail=*)"


def test_a_server_that_only_stands_before_a_domain_has_no_schema_to_ask() -> None:
    """The preset is chosen by hand there, and Exchange's attribute is left out."""
    text = source(None, capabilities=frozenset(), mapping={"preset": "activeDirectory"}).filter.lower()
    assert CONTROL in text
    assert HIDDEN not in text


def test_a_switch_is_part_of_what_is_asked_for_and_the_schema_is_not() -> None:
    """The guard looks hard at an edited switch; it does not when a forest learns an attribute."""
    assert digest(EXCHANGE) == digest(Schema(frozenset({CONTROL})))
    digests = {digest(EXCHANGE, mapping={"include": {name: value}}) for name, value in SWITCHED.items()}
    assert len(digests | {digest(EXCHANGE)}) == len(SWITCHED) + 1
    assert digest(EXCHANGE, mapping={"include": {"people": True}}) == digest(EXCHANGE)


SWITCHED = {"people": False, "contacts": False, "computers": True, "disabled": True, "hidden": True}


def test_other_servers_have_no_such_kinds() -> None:
    """The switches change nothing there."""
    mapping = {"include": {"computers": True}}
    plain, switched = (source(None, capabilities=frozenset(), mapping=each) for each in (None, mapping))
    assert plain.filter == switched.filter


@pytest.mark.parametrize(
    ("mapping", "path", "hint"),
    [
        ({"include": ["disabled"]}, "include is a list", ""),
        ({"include": {"computer": True}}, "'computer'", '"computers"'),
        ({"include": {"hidden": 1}}, "include.hidden", "true, false"),
        ({"include": {"people": False, "contacts": False}}, "include", "people, contacts and computers"),
        ({"include": {"hidden": True}, "preset": "inetOrgPerson"}, "include", "inetOrgPerson"),
        ({"fields": {"notes": "member;range=0-1499"}}, "fields.notes", "Leave out the range"),
        ({"identity": "uid;Range=0-*"}, "identity[0]", "Leave out the range"),
    ],
)
def test_what_cannot_be_is_refused(mapping: dict[str, Any], path: str, hint: str) -> None:
    """With the key that it is about, and what could stand there."""
    with pytest.raises(MappingError) as caught:
        resolve(definition(mapping=mapping))
    assert path in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("fields", [{"filter": "(mail=*)"}, {"query": "ldap://dc1/dc=example???(mail=*)"}])
def test_a_filter_of_ones_own_and_switches_contradict(fields: dict[str, Any]) -> None:
    """Nobody could tell which of them counts."""
    usual: dict[str, Any] = {"query": "ldaps://dc1", "mapping": {"include": {"disabled": True}}}
    with pytest.raises(MappingError) as caught:
        resolve(Definition(folder_id=1, definition_id=1, folder="Staff", **(usual | fields)))
    assert "filter" in caught.value.message


def test_what_a_catalogue_lacks_is_named_by_attribute() -> None:
    """Options make no difference; a whole directory lacks nothing."""
    mapping = {"preset": "none", "fields": {"title": "title", "notes": "cn;lang-de", "emails": "mail"}}
    catalogue = Schema(frozenset({CONTROL, HIDDEN}), frozenset({"cn", "mail", "objectguid"}))
    assert source(catalogue, mapping=mapping).lacking == ("title",)
    assert source(EXCHANGE, mapping=mapping).lacking == ()


def test_the_mapping_says_its_whole_filter() -> None:
    """For the documentation, and for what stands for it."""
    whole = str(compile_mapping(None, active_directory=True, limits=MappingLimits()).filter)
    assert whole == source(EXCHANGE).filter
