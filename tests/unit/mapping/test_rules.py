"""Valid mappings of a definition, and the errors of those that are not valid."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from contactsync.errors import MappingError
from contactsync.mapping.entry_filter import DEFAULTS as SWITCHES
from contactsync.mapping.json_schema import mapping_schema
from contactsync.mapping.mapping import compile_mapping
from contactsync.mapping.presets import PRESETS
from contactsync.model import Policy
from contactsync.settings.schema import MappingLimits
from tests.unit.mapping.mappings import DEFAULTS, mapping_of

REFUSED: list[tuple[Any, str, str]] = [
    ([], "mapping is a list", ""),
    ({"field": {}}, '"field"', '"fields"'),
    ({"preset": "inetorgperson"}, "preset", '"inetOrgPerson"'),
    ({"identity": []}, "identity", "dn"),
    ({"identity": ["dn", "uid"]}, "identity", "alone"),
    ({"identity": ["uid", 7]}, "identity[1]", "RFC 4512"),
    ({"identity": ["uid"] * 11}, "identity", "10"),
    ({"identity": "u" * 129}, "identity[0]", "RFC 4512"),
    ({"fields": []}, "fields", ""),
    ({"preset": "none"}, "fields", "display_name"),
    ({"fields": {"displayName": "cn"}}, '"displayName"', '"display_name"'),
    ({"fields": {"extra.": "cn"}}, '"extra."', "extra.NAME"),
    ({"fields": {"extra.a\0b": "cn"}}, "extra.a\\x00b", "extra.NAME"),
    (
        {"fields": {"emails": {"policy": "fil"}}},
        "fields.emails.policy",
        '"fill"? It may be: directory, fill, insert',
    ),
    ({"fields": {"emails": {"form": "mail"}}}, "fields.emails", '"from"'),
    ({"fields": {"emails": {"from": ["mail", True]}}}, "fields.emails.from", "RFC 4512"),
    ({"fields": {"nickname": {"policy": "fill"}}}, "fields.nickname", "preset"),
    ({"fields": {"title": "a b"}}, "fields.title", "RFC 4512"),
    ({"fields": {"title": "{a"}}, "fields.title", "template"),
    ({"fields": {"title": {"attribute": "a", "as": "dn"}}}, "fields.title.as", "rdn"),
    ({"fields": {"title": {"attribute": None}}}, "fields.title", "RFC 4512"),
    ({"fields": {"title": {"attribute": "cn", "form": "rdn"}}}, "fields.title", "as"),
    ({"fields": {"title": [{"as": "rdn"}]}}, "fields.title", "RFC 4512"),
    ({"fields": {"title": [["a"]]}}, "fields.title", "RFC 4512"),
    ({"fields": {"photo": "{a}"}}, "fields.photo", "jpegPhoto"),
    ({"fields": {"title": ["a"] * 21}}, "fields.title", "20"),
    ({"fields": {f"extra.x{number}": "a" for number in range(10_000)}}, "10000 fields", "100"),
    ({"fields": {f"extra.x{n}": [f"{{a{n}x{m}}}" for m in range(20)] for n in range(90)}}, "fields", "500"),
    ({"fields": {"notes": "member;range=0-1499"}}, "fields.notes", "Remove the range"),
    ({"identity": "uid;Range=0-*"}, "identity[0]", "Remove the range"),
    ({"include": ["disabled"]}, "include is a list", ""),
    ({"include": {"computer": True}}, '"computer"', '"computers"'),
    ({"include": {"hidden": 1}}, "include.hidden", "true, false"),
    (
        {"include": {"people": False, "contacts": False}},
        "include",
        "people, contacts, groups, computers",
    ),
    ({"include": {"hidden": True}, "preset": "inetOrgPerson"}, "include", "inetOrgPerson"),
]
"""Mappings, what is wrong in them, and a part of the hint."""

BEYOND_A_SCHEMA = ("display", "preset", "template", "jpegPhoto", "500", "extra.", "Remove", "inetOrgPerson", "people,")
"""Parts of the hints of mistakes that need more than a schema."""


def test_requested_attributes() -> None:
    """The identity and each source once, those of templates included."""
    fields = {"title": ["title", "{Title} {ou}"], "notes": "ou", "emails": "mail"}
    assert mapping_of(fields, identity=["entryUUID", "uid"]).attributes == ("entryUUID", "uid", "mail", "title", "ou")
    assert mapping_of({"title": "title"}, identity="dn").attributes == ("title",)


def test_own_fields_over_the_preset() -> None:
    """A definition changes, adds and removes fields; the preset has the others."""
    mapping = mapping_of({"title": "rank", "extra.badge": "badge", "pagers": None, "notes": []}, preset="inetOrgPerson")
    assert not {"pagers", "notes"} & set(mapping.fields)
    assert {"display_name", "title", "extra.badge"} <= set(mapping.fields)
    assert not {"pager", "description", "title"} & set(mapping.attributes)
    assert {"displayName", "rank", "badge"} <= set(mapping.attributes)


def test_fields_follow_one_order() -> None:
    """Fields have the order of a contact, not that of the definition."""
    mapping = mapping_of({"extra.b": "x", "notes": "x", "extra.a": "x", "title": "x"})
    assert mapping.fields == ("title", "notes", "extra.a", "extra.b")


def test_policies() -> None:
    """A policy may come with sources or without; the default is the policy directory."""
    fields = {"emails": {"policy": "fill"}, "notes": {"from": "info", "policy": "insert"}}
    mapping = mapping_of(fields, preset="inetOrgPerson")
    assert mapping.policies["emails"] is Policy.FILL
    assert mapping.policies["notes"] is Policy.INSERT
    assert mapping.policies["title"] is Policy.DIRECTORY
    assert "mail" in mapping.attributes


@pytest.mark.parametrize(("definition", "path", "hint"), REFUSED)
def test_invalid_mappings(definition: Any, path: str, hint: str) -> None:
    """The error names the key that is not valid, and what is valid there."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(definition, active_directory=True, limits=DEFAULTS)
    assert path in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("definition", "part"),
    [
        ({"fields": {"emails": "not one"}}, ("fields", "emails")),
        ({"fields": {"emails": {"from": "not one"}}}, ("fields", "emails")),
        ({"fields": {"emails": {"policy": "sometimes"}}}, ("fields", "emails")),
        ({"fields": {"extra.from": "not one"}}, ("fields", "extra.from")),
        ({"fields": {"extra.from": {"from": "not one"}}}, ("fields", "extra.from")),
        ({"fields": {"extra.a/b": "cn"}}, ("fields", "extra.a/b")),
        ({"fields": []}, ("fields",)),
        ({"identity": ["not one"]}, ("identity",)),
        ({"include": {"people": 1}}, ("include", "people")),
        ({"preset": "other"}, ("preset",)),
        ({"colour": "red"}, ()),
    ],
)
def test_an_error_leads_to_the_part_of_the_mapping(definition: Any, part: tuple[str, ...]) -> None:
    """For a form, which marks the input."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(definition, active_directory=True, limits=DEFAULTS)
    assert caught.value.part == part


def test_hostile_definition() -> None:
    """The error about a deep or large definition is short and can be stored."""
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    for fields in ({"title": deep}, {"title": "{" * 1_000_000}, {"\ud800" * 1_000_000: "a"}, {"title": {"from": deep}}):
        with pytest.raises(MappingError) as caught:
            compile_mapping({"fields": fields}, active_directory=False, limits=DEFAULTS)
        assert len(str(caught.value).encode()) < 1_500


def test_digest_follows_what_changes_the_result() -> None:
    """Equal rules have equal digests; other sources, limits or policies have other digests."""
    base = {"title": ["title", "rank"], "notes": "info"}
    digest = mapping_of(base).digest
    assert len(digest) == 16
    assert mapping_of({"notes": ["INFO"], "title": {"from": ["Title", {"attribute": "rank"}]}}).digest == digest
    others = [
        mapping_of({**base, "title": ["rank", "title"]}),
        mapping_of({**base, "title": "title"}),
        mapping_of({**base, "notes": "{info}"}),
        mapping_of({**base, "notes": {"attribute": "info", "as": "address"}}),
        mapping_of({**base, "notes": {"from": "info", "policy": "fill"}}),
        mapping_of(base, MappingLimits(values=3)),
        mapping_of(base, identity="dn"),
    ]
    assert len({digest, *(mapping.digest for mapping in others)}) == 1 + len(others)


def test_every_part_that_is_not_valid_is_named() -> None:
    """The first one, and the others with it."""
    fields = {"title": "not one", "hat": "cn", "city": "l", "notes": {"policy": "sometimes"}}
    definition = {"identity": [], "include": dict.fromkeys(SWITCHES, False), "fields": fields}
    with pytest.raises(MappingError) as caught:
        compile_mapping(definition, active_directory=True, limits=DEFAULTS)
    parts = [error.part for error in (caught.value, *caught.value.others)]
    assert parts == [("identity",), ("include",), ("fields", "title"), ("fields", "notes"), ("fields", "hat")]


@pytest.mark.parametrize("definition", [row[0] for row in REFUSED if not row[2].startswith(BEYOND_A_SCHEMA)])
def test_the_schema_refuses_what_is_refused(definition: Any) -> None:
    """An editor marks it while it is typed."""
    assert not jsonschema_rs.validator_for(mapping_schema()).is_valid(definition)


@pytest.mark.parametrize(
    "definition",
    [
        None,
        {},
        {"identity": "dn"},
        {"identity": "uid"},
        {"include": dict.fromkeys(SWITCHES, True)},
        *({"preset": name} for name in PRESETS),
        *({"fields": {"title": {"policy": policy.value}}} for policy in Policy),
        {"identity": None, "include": None, "fields": None, "preset": "inetOrgPerson"},
        {"identity": ["entryUUID", "uid"], "include": {"disabled": True}, "preset": None},
        {"fields": {"title": {"from": ["rank", "{Title}"], "policy": "insert"}, "notes": {"from": None}}},
        {"fields": {"title": {"from": "rank"}, "notes": {"attribute": "info"}, "nickname": "{uid}"}},
        {"fields": {"pagers": None, "notes": [], "extra.Ausweis-Nr.": "badge", "emails": {"policy": "fill"}}},
        {"fields": {"title": ["title;lang-de", "{Title} ({ou})", {"attribute": "2.5.4.12", "as": "rdn"}]}},
        *({"preset": "none", "fields": preset.fields} for preset in PRESETS.values()),
    ],
)
def test_the_schema_accepts_what_is_accepted(definition: Any) -> None:
    """It never marks a mapping that works."""
    compile_mapping(definition, active_directory=True, limits=DEFAULTS)
    jsonschema_rs.validator_for(mapping_schema()).validate(definition)
