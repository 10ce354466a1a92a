"""What a definition's mapping may say, and what it is told when it says something else."""

from __future__ import annotations

from typing import Any

import pytest

from contactsync.errors import MappingError
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import Policy
from contactsync.settings.schema import MappingLimits


def mapping_of(only: dict[str, Any] | None = None, limits: MappingLimits | None = None, **top: Any) -> Mapping:
    """The mapping of a definition with these keys; `only` are its fields when no preset is wanted."""
    definition = {"preset": "none", "fields": only, **top} if only else top
    return compile_mapping(definition, active_directory=False, limits=limits or MappingLimits())


def test_attributes_to_ask_for() -> None:
    """The directory is asked for the identity and for each source once, also for those of templates."""
    fields = {"title": ["title", "{Title} {ou}"], "notes": "ou", "emails": "mail"}
    assert mapping_of(fields, identity=["entryUUID", "uid"]).attributes == ("entryUUID", "uid", "mail", "title", "ou")
    assert mapping_of({"title": "title"}, identity="dn").attributes == ("title",)


def test_own_fields_over_the_preset() -> None:
    """A definition changes, adds and removes single fields, and leaves the others to the preset."""
    mapping = mapping_of(fields={"title": "rank", "extra.badge": "badge", "pagers": None, "notes": []})
    assert not {"pagers", "notes"} & set(mapping.fields)
    assert {"display_name", "title", "extra.badge"} <= set(mapping.fields)
    assert not {"pager", "description", "title"} & set(mapping.attributes)
    assert {"displayName", "rank", "badge"} <= set(mapping.attributes)


def test_fields_follow_one_order() -> None:
    """The order of fields is that of the contact, whatever the order in the definition."""
    mapping = mapping_of({"extra.b": "x", "notes": "x", "extra.a": "x", "title": "x"})
    assert mapping.fields == ("title", "notes", "extra.a", "extra.b")


def test_policies() -> None:
    """A policy may come with sources or over the preset's own; the directory owns what has none."""
    fields = {"emails": {"policy": "fill"}, "notes": {"from": "info", "policy": "insert"}}
    mapping = mapping_of(fields=fields)
    assert mapping.policies["emails"] is Policy.FILL
    assert mapping.policies["notes"] is Policy.INSERT
    assert mapping.policies["title"] is Policy.DIRECTORY
    assert "mail" in mapping.attributes


@pytest.mark.parametrize(
    ("definition", "path", "hint"),
    [
        ([], "mapping is a list", ""),
        ({"field": {}}, "'field'", '"fields"'),
        ({"preset": "inetorgperson"}, "preset", '"inetOrgPerson"'),
        ({"identity": []}, "identity", "dn"),
        ({"identity": ["dn", "uid"]}, "identity", "alone"),
        ({"identity": ["uid", 7]}, "identity[1]", "RFC 4512"),
        ({"fields": []}, "fields", ""),
        ({"preset": "none"}, "fields", "display_name"),
        ({"fields": {"displayName": "cn"}}, "'displayName'", '"display_name"'),
        ({"fields": {"extra.": "cn"}}, "'extra.'", "extra.NAME"),
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
        ({"fields": {"title": [["a"]]}}, "fields.title", "RFC 4512"),
        ({"fields": {"photo": "{a}"}}, "fields.photo", "jpegPhoto"),
        ({"fields": {"title": ["a"] * 21}}, "fields.title", "20"),
        ({"fields": {f"extra.x{number}": "a" for number in range(10_000)}}, "10000 fields", "100"),
        ({"fields": {f"extra.x{n}": [f"{{a{n}x{m}}}" for m in range(20)] for n in range(90)}}, "fields", "500"),
    ],
)
def test_wrong_definitions(definition: Any, path: str, hint: str) -> None:
    """A mapping that makes no sense is refused with the key it is about, and with what could stand there."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(definition, active_directory=False, limits=MappingLimits())
    assert path in caught.value.message
    assert hint in caught.value.hint


def test_hostile_definition() -> None:
    """However deep and large a definition is, it is refused in a short sentence that can be stored."""
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    for fields in ({"title": deep}, {"title": "{" * 1_000_000}, {"\ud800" * 1_000_000: "a"}, {"title": {"from": deep}}):
        with pytest.raises(MappingError) as caught:
            compile_mapping({"fields": fields}, active_directory=False, limits=MappingLimits())
        assert len(str(caught.value).encode()) < 1_500


def test_digest_follows_what_changes_the_result() -> None:
    """Equal rules have equal digests, however they are written; other sources, limits or policies have another one."""
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
