"""Templates: values of attributes in a text, and no way from there to Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.mapping.template import Template


def render(text: str, **values: str) -> str:
    """The template with these values; attributes that are not named are blank."""
    return Template(text).render(lambda attribute: values.get(attribute, ""))


def test_values_stand_in_their_places() -> None:
    """A placeholder is its attribute's value, and the text around it stays."""
    assert render("{title} ({ou}), {title}", title="Head", ou="Sales") == "Head (Sales), Head"


def test_attributes_are_named_once() -> None:
    """A template tells which attributes it needs, each once and as it is written."""
    assert Template("{givenName} {sn;lang-de} {givenName}").attributes == ("givenName", "sn;lang-de")


def test_double_braces_are_braces() -> None:
    """Two braces are one, also next to a placeholder."""
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
    """A blank placeholder takes its brackets and one separator along; when all are blank, so is the text."""
    assert render(text, **values) == expected


def test_values_are_not_altered() -> None:
    """Brackets, separators, braces and white space inside a value are the value's own."""
    assert render("{a} - {b}", a="({x})  - ") == "({x})  - "


def test_white_space_of_the_template_is_collapsed() -> None:
    """Spaces and line breaks of the template itself do not pile up."""
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
def test_what_is_not_a_template(text: str, problem: str) -> None:
    """Stray braces, formats, paths into objects, none or too many placeholders: each is refused with what is wrong."""
    with pytest.raises(ValueError, match=problem):
        Template(text)


@given(st.text("ab {}()[]-,;:/|\n", max_size=60), st.fixed_dictionaries({"a": st.text(), "b": st.text()}))
def test_any_template(text: str, values: dict[str, str]) -> None:
    """Whatever is written is refused or rendered, and every value that is not blank is in what is rendered."""
    try:
        template = Template(text)
    except ValueError:
        return
    rendered = template.render(values.__getitem__)
    assert all(values[attribute] in rendered for attribute in template.attributes)
    assert bool(rendered) == any(values[attribute] for attribute in template.attributes)
