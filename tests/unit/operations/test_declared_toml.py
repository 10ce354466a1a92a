"""Declared definitions as TOML: what is written is read again, and each field has its line."""

from __future__ import annotations

import tomllib
from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from contactsync.operations.declared.file import file_schema, parse_file
from contactsync.operations.declared.toml import lines_of_fields, to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x00\x1b\x9b\u202e\r\n\t\"\\'"), min_size=1)
VALUE = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OPTIONAL = {"filter": TEXT, "mapping": st.dictionaries(TEXT, VALUE, max_size=3)}


@given(
    st.lists(
        st.fixed_dictionaries({"folder": TEXT}, optional={"filter": TEXT, "mapping": st.dictionaries(TEXT, VALUE)})
    )
)
def test_what_is_written_is_read_again(definitions: list[dict[str, Any]]) -> None:
    """Whatever the texts are: quotes, backslashes, control characters, line ends."""
    text = to_toml(definitions)
    assert tomllib.loads(text).get("definitions", []) == definitions
    assert text.replace("\n", "").isprintable()


def test_a_mapping_with_null_becomes_a_text() -> None:
    """TOML has no null."""
    mapping = {"fields": {"title": None, "note": ["a", '"""', "\\"]}}
    text = to_toml([{"folder": "Staff", "query": "dc1", "mapping": mapping}])
    assert parse_file(text, "x.toml").definitions[0].mapping == mapping


def test_each_field_has_its_line() -> None:
    """Also behind texts of several lines, which may contain anything."""
    text = """
[[definitions]]
folder = "Staff"
tls_ca_pem = '''
[[definitions]]
query = "no"
'''
query = "dc1"

[definitions.mapping.fields]
filter = ["x"]

[[ "definitions" ]]
"folder" = "Other"
"""
    lines = {(0, ""): 2, (0, "folder"): 3, (0, "tls_ca_pem"): 4, (0, "query"): 8, (0, "mapping"): 10}
    assert lines_of_fields(text) == lines | {(1, ""): 13, (1, "folder"): 14}


def test_the_schema_has_the_fields_of_a_file() -> None:
    """All that `add` has, and no password."""
    fields = file_schema()["$defs"]["DeclaredDefinition"]["properties"]
    assert {"folder", "query", "user", "password_ref", "mapping", "enabled"} <= fields.keys()
    assert "password" not in fields


def test_the_schema_accepts_an_export_with_a_mapping() -> None:
    """As a table and as a text in JSON; a mistake in it is found."""
    validator = jsonschema_rs.validator_for(file_schema())
    for mapping, valid in (({"preset": "none"}, True), ('{"preset": "none"}', True), ({"presets": "none"}, False)):
        definition = {"folder": "Staff", "query": "dc1", "mapping": mapping}
        assert validator.is_valid({"definitions": [definition]}) is valid
