"""Mappings as rows of a form: what rows cannot show stays text, and a line that is not valid is marked."""

from __future__ import annotations

from typing import Any

import pytest

from contactsync.operations.reading.mapping import mapping_parts
from contactsync.web.pages.folder.mapping_form import NotRows, form_of, typed_form

PARTS = mapping_parts().model_dump()


@pytest.mark.parametrize(
    "mapping",
    [
        {"preset": "other"},
        {"preset": ["none"]},
        {"fields": {"notes": {"from": "info", "policy": "sometimes"}}},
        {"fields": {"notes": {"from": "info", "policy": "none"}}},
        {"fields": {"notes": {"from": "info", "policy": ["fill"]}}},
        {"fields": {"notes": {"from": "info", "colour": "red"}}},
        {"fields": {"nothing": "info"}},
        {"include": {"pets": True}},
        {"colour": "red"},
    ],
    ids=str,
)
def test_what_rows_cannot_show_is_not_shown_in_rows(mapping: dict[str, Any]) -> None:
    """A list of choices would show another one in its place, which a save would then store."""
    with pytest.raises(NotRows):
        form_of(PARTS, mapping)


@pytest.mark.parametrize("preset", [*PARTS["presets"], "none"])
@pytest.mark.parametrize("policy", PARTS["policies"])
def test_rows_have_each_choice(preset: str, policy: str) -> None:
    """And lose none of them."""
    mapping = {"preset": preset, "fields": {"notes": {"from": "info", "policy": policy}}}
    again = form_of(PARTS, form_of(PARTS, mapping).mapping()).mapping()
    expected = "info" if policy == "directory" else mapping["fields"]["notes"]  # type: ignore[index]
    assert again == {"preset": preset, "fields": {"notes": expected}}


@pytest.mark.parametrize("line", ['"open', '{"attribute": ', '{"a":' * 10_000])
def test_a_line_that_is_not_valid_json_is_marked(line: str) -> None:
    """Also one that is nested too deeply to be read."""
    form = typed_form(PARTS, {"field.notes.sources": line})
    assert form.mapping() is None
    assert "valid JSON" in form.rows["notes"].error
