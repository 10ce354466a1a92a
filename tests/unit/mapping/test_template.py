"""Templates: values of attributes in a text, without any of Python's formatting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.mapping.template import Template


def render(text: str, **values: str) -> str:
    """The template with these values; other attributes are blank."""
    return Template(text).render(lambda attribute: values.get(attribute, ""))


def test_values_replace_their_placeholders() -> None:
    """The text around a placeholder stays."""
    assert render("{title} ({ou}), {title}", title="Head", ou="Sales") == "Head (Sales), Head"


def test_attributes_are_listed_once() -> None:
    """The attributes of a template are listed as they are written."""
    assert Template("{givenName} {sn;lang-de} {givenName}").attributes == ("givenName", "sn;lang-de")


def test_double_braces_are_braces() -> None:
    """Two braces are a literal one, also beside a placeholder."""
    assert render("{{{a}}} }}", a="x") == "{x} }"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("{a} ({b})", {"a": "A"}, "A"),
        ("{a} ({b})", {"b": "B"}, "(B)"),
        ("{a}, {b}, {c}", {"a": "A", "c": "C"}, "A, C"),
        ("{a}, {b}, {c}", {"a": "A"}, "A"),
        ("{a}, {b}, {c}", {"c": "C"}, "C"),
        ("({a} / {b})", {"a": "A"}, "(A)"),
        ("{a} [{b}; {c}] {d}", {"a": "A", "d": "D"}, "A D"),
        ("{a}\n{b}\n{c}", {"a": "A", "c": "C"}, "A\nC"),
        ("Room {a}", {}, ""),
    ],
)
def test_blank_values_leave_no_gap(text: str, values: dict[str, str], expected: str) -> None:
    """A blank placeholder is removed with its brackets and one separator; if all are blank, so is the text."""
    assert render(text, **values) == expected


def test_values_are_not_altered() -> None:
    """Brackets, separators, braces and white space inside a value stay."""
    assert render("{a} - {b}", a="({x})  - ") == "({x})  - "


def test_white_space_of_the_template_is_collapsed() -> None:
    """Spaces and line breaks of the template itself become one."""
    assert render("  {a}   and \n\n {b} ", a="1", b="2") == "1 and\n2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{a", "brace"),
        ("a} {b}", "brace"),
        ("{a!r}", "not an attribute description"),
        ("{a:>10}", "not an attribute description"),
        ("{a.__class__}", "not an attribute description"),
        ("{a[0]}", "not an attribute description"),
        ("{}", "not an attribute description"),
        ("{{a}}", "placeholders"),
        ("{a}" * 21, "placeholders"),
        ("{a}" + "x" * 1000, "longer"),
        ("{a}\x00", "control"),
        ("{a}\ud800", "control"),
    ],
)
def test_invalid_templates(text: str, problem: str) -> None:
    """Stray braces, formats, attribute access and a wrong number of placeholders are refused with the reason."""
    with pytest.raises(ValueError, match=problem):
        Template(text)


@given(st.text("ab {}()[]-,;:/|\n", max_size=60), st.fixed_dictionaries({"a": st.text(), "b": st.text()}))
def test_any_template(text: str, values: dict[str, str]) -> None:
    """Any text is refused or rendered, and what is rendered contains every value."""
    try:
        template = Template(text)
    except ValueError:
        return
    used = {attribute: values.get(attribute, "") for attribute in template.attributes}
    rendered = template.render(used.__getitem__)
    assert all(value in rendered for value in used.values())
    assert bool(rendered) == any(used.values())
