"""Text from other people cannot become code: in terminals, logs, filters, DNS names, templates."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import contactsync
from contactsync.errors import DefinitionError
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import parse_query
from contactsync.mapping.template import Template
from contactsync.operations.directory_lookup import person_filter
from contactsync.text import printable, printable_json, quoted

ANYTHING = st.text(
    st.characters() | st.sampled_from("\x00\x07\x1b\x7f\x85\x9b\u202e\u2066\u200b\U000e0041\\*()[]{}\n\r\t")
)
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)


@given(ANYTHING)
@example("\x1b]0;owned\x07\x1b[2J")
@example("\x9b31m\u202egnp.exe")
def test_nothing_steers_a_terminal(text: str) -> None:
    """The terminal gets only printable characters, and printable text is unchanged."""
    shown = printable(text)
    assert shown.isprintable()
    assert text == shown or not text.isprintable()


@given(ANYTHING)
@example(r"EXAMPLE\reader")
def test_a_quoted_text_is_the_printable_text_in_marks(text: str) -> None:
    """A message shows what the user typed: a backslash is not doubled, and an apostrophe changes nothing."""
    assert quoted(text) == f'"{printable(text)}"'


def test_no_message_has_the_form_of_a_literal() -> None:
    """No message is built with `repr`, which doubles backslashes, as of a user of a domain; `quoted` is the one way."""
    literal = re.compile(r"""f["'].*\{[^{}]*!r\}""")
    code = Path(contactsync.__file__).parent.rglob("*.py")
    found = [f"{file.name}: {line}" for file in code for line in file.read_text().splitlines() if literal.search(line)]
    assert found == ['template.py:         return f"Template({self.text!r})"']


@given(st.dictionaries(ANYTHING, ANYTHING), st.sampled_from([None, 2]))
def test_a_json_document_is_safe_and_means_the_same(document: dict[str, str], indent: int | None) -> None:
    """The JSON text has only printable characters, and means the same."""
    text = printable_json(json.dumps(document, ensure_ascii=False, indent=indent))
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == document


@given(text=ANYTHING)
@example(text=")(uid=*")
@example(text="*")
@example(text="\\2a)(|(a=b")
def test_what_somebody_types_stays_a_value_in_a_filter(text: str) -> None:
    """A search for a person has the same form whatever was typed, and its values are what was typed."""
    written = person_filter(text)
    if text.strip() and text.isprintable():
        assert check_filter(written) == written
    values = re.findall(r"\(uid=([^()*]*)\)", written)
    assert [re.sub(r"\\([0-9a-fA-F]{2})", lambda pair: chr(int(pair[1], 16)), value) for value in values] == [
        text.strip()
    ]
    assert written.count("(") == written.count(")") == 7


@given(ANYTHING)
@example("example.com:389/x")
@example("evil.example._tcp")
@example("a..b")
def test_only_host_names_are_asked_of_dns(text: str) -> None:
    """The name of an SRV record comes from DC components that have only the characters of host names."""
    escaped = re.sub(r'([\\,+;"<>=#/ ?%])', r"\\\1", text)
    try:
        domain = parse_query(f"OU=Users,DC={escaped},DC=example").domain
    except DefinitionError:
        return
    assert domain is None or HOST.fullmatch(domain)


HOSTILE_PLACEHOLDERS = ["0", "0.__class__", "sn.__class__", "sn[0]", "sn!r", "sn:>10", "__import__('os')", "", " sn"]


@pytest.mark.parametrize("placeholder", HOSTILE_PLACEHOLDERS)
def test_a_template_has_no_way_into_python(placeholder: str) -> None:
    """A template refuses placeholders with which str.format would look up, call or convert something."""
    with pytest.raises(ValueError, match=r"placeholder|attribute"):
        Template("{" + placeholder + "}")


@given(st.text(min_size=1).filter(str.strip))
@example("{givenName.__class__}")
@example("%(x)s $x {0} \\1 \\g<0>")
def test_a_value_in_a_template_is_never_read_as_one(value: str) -> None:
    """Values of the directory are inserted unchanged."""
    assert Template("<{sn}>").render(lambda _name: value) == f"<{value}>"
